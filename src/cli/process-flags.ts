// Flags that MetalLB's two programs have in common, with ours, and what they mean. Used by the verbs `controller` and
// `speaker`.

import { readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import type { BgpType } from '../config/resource.ts';
import { LOG_LEVELS } from '../io/log.ts';
import { readTlsFlags, type TlsOptions } from '../io/tls-options.ts';
import { FlagError, type Flags, type FlagTable, parseGoFlags, usageOf } from './go-flags.ts';

const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

export const PROCESS_FLAGS = {
  port: { kind: 'number', otherwise: '9120', help: 'HTTPS port of the metrics; 0: none' },
  namespace: { kind: 'text', env: 'METALLB_NAMESPACE', otherwise: '', help: 'where the resources of metallb.io are' },
  'log-level': { kind: 'text', otherwise: 'info', help: `how much is logged: ${LOG_LEVELS.join(', ')}` },
  'pprof-bind-address': { kind: 'text', otherwise: '', help: 'taken and without meaning: there is no Go to profile' },
  'health-probe-port': { kind: 'number', otherwise: '17472', help: 'HTTP port of /healthz and /readyz' },
  'lb-class': { kind: 'text', otherwise: '', help: 'loadBalancerClass that is served; empty: Services without one' },
  'pod-name': { kind: 'text', env: 'METALLB_POD_NAME', otherwise: '', help: 'Pod that this process runs in' },
  'tls-min-version': { kind: 'text', otherwise: '', help: 'VersionTLS12 or VersionTLS13; empty: the latter' },
  'tls-cipher-suites': { kind: 'text', otherwise: '', help: 'IANA names, for TLS 1.2 alone' },
  'tls-curve-preferences': { kind: 'text', otherwise: '', help: 'numbers of curves, such as 29,4588' },
  'metrics-cert-dir': { kind: 'text', otherwise: '', help: 'folder of tls.crt and tls.key; empty: self-signed' },
  kubeconfig: { kind: 'text', otherwise: '', help: 'outside of a cluster; else KUBECONFIG' },
  http: { kind: 'text', otherwise: '127.0.0.1:7472', help: 'where state and metrics are for this machine' },
} as const;

type ProcessFlags = Flags<typeof PROCESS_FLAGS>;

/** Ends with the usage and 2 on a wrong call, with 0 when it was asked for. */
export function readProcessFlags<const T extends FlagTable & typeof PROCESS_FLAGS>(
  verb: string,
  table: T,
  argv: readonly string[],
): Flags<T> {
  try {
    const flags = parseGoFlags(table, argv, process.env);
    const level = flags['log-level'];
    if (!LOG_LEVELS.some((known) => known === level))
      throw new FlagError(`invalid value "${level}" for flag -log-level: one of ${LOG_LEVELS.join(', ')}`);
    return flags;
  } catch (fault) {
    if (!(fault instanceof FlagError)) throw fault;
    const asked = fault.message === '';
    process.stderr.write(`${asked ? '' : `${fault.message}\n`}${usageOf(verb, table)}`);
    throw new CommanderError(asked ? 0 : 2, 'flags', fault.message);
  }
}

/** Throws an Error that names the flag, and what it may be. */
export function tlsOf(flags: ProcessFlags): TlsOptions {
  return readTlsFlags({
    minVersion: flags['tls-min-version'],
    cipherSuites: flags['tls-cipher-suites'],
    curves: flags['tls-curve-preferences'],
  });
}

/** MetalLB's; `cluster`: where the API's credentials are from. Throws an Error when nobody says. */
export function namespaceOf(flags: ProcessFlags, cluster: string | undefined): string {
  if (flags.namespace !== '') return flags.namespace;
  if (cluster !== undefined) return cluster;
  try {
    return readFileSync(NAMESPACE_FILE, 'utf8').trim();
  } catch {
    throw new Error('in which namespace are we? Set --namespace or METALLB_NAMESPACE');
  }
}

/** Empty: not given. */
export function given(text: string): string | undefined {
  return text === '' ? undefined : text;
}

/** `METALLB_BGP_TYPE`. */
export function readBgpType(text: string | undefined): BgpType {
  if (text === undefined || text === '') return 'unset';
  if (text === 'native' || text === 'frr' || text === 'frr-k8s') return text;
  throw new Error(`METALLB_BGP_TYPE is "${text}", not native, frr or frr-k8s`);
}
