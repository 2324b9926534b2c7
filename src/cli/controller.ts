// `fairway controller`: MetalLB's flags and environment to a running ControllerProcess, and its end.

import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import type { BgpType } from '../config/resource.ts';
import { createLog, LOG_LEVELS, type LogLevel } from '../io/log.ts';
import { dieLoudly, leaveOnSignal } from '../io/supervise.ts';
import { readTlsFlags } from '../io/tls-options.ts';
import { openCluster } from '../k8s/cluster.ts';
import { ControllerProcess, type ControllerProcessOptions } from '../process/controller-process.ts';
import { FlagError, type Flags, parseGoFlags, usageOf } from './go-flags.ts';
import { readSocketAddress } from './options.ts';
import { VERSION } from './version.ts';

const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';
const LEAVE_MS = 8_000;

export const CONTROLLER_FLAGS = {
  port: { kind: 'number', otherwise: '9120', help: 'HTTPS port of the metrics; 0: none' },
  namespace: { kind: 'text', env: 'METALLB_NAMESPACE', otherwise: '', help: 'where the resources of metallb.io are' },
  'ml-secret-name': {
    kind: 'text',
    env: 'METALLB_ML_SECRET_NAME',
    otherwise: '',
    help: 'Secret of the speakers, made where it is missing; empty: none is',
  },
  deployment: { kind: 'text', env: 'METALLB_DEPLOYMENT', otherwise: '', help: 'Deployment that owns that Secret' },
  'log-level': { kind: 'text', otherwise: 'info', help: `how much is logged: ${LOG_LEVELS.join(', ')}` },
  'pprof-bind-address': { kind: 'text', otherwise: '', help: 'taken and without meaning: there is no Go to profile' },
  'health-probe-port': { kind: 'number', otherwise: '17472', help: 'HTTP port of /healthz and /readyz' },
  'disable-cert-rotation': {
    kind: 'truth',
    otherwise: 'false',
    help: 'the certificate of the webhooks is kept by somebody else, in -cert-dir',
  },
  'cert-dir': {
    kind: 'text',
    otherwise: '/tmp/k8s-webhook-server/serving-certs',
    help: 'folder of tls.crt and tls.key, with -disable-cert-rotation',
  },
  'cert-service-name': { kind: 'text', otherwise: 'metallb-webhook-service', help: 'Service of the webhooks' },
  'lb-class': { kind: 'text', otherwise: '', help: 'loadBalancerClass that is served; empty: Services without one' },
  'webhook-mode': {
    kind: 'text',
    otherwise: 'enabled',
    help: 'enabled, disabled, or onlywebhook: nothing is allocated',
  },
  'webhook-secret': {
    kind: 'text',
    otherwise: 'metallb-webhook-cert',
    help: 'Secret with the certificate of the webhooks',
  },
  'pod-name': { kind: 'text', env: 'METALLB_POD_NAME', otherwise: '', help: 'Pod that this process runs in' },
  'webhook-http2': { kind: 'truth', otherwise: 'false', help: 'the webhooks speak HTTP/2 too' },
  'tls-min-version': { kind: 'text', otherwise: '', help: 'VersionTLS12 or VersionTLS13; empty: the latter' },
  'tls-cipher-suites': { kind: 'text', otherwise: '', help: 'IANA names, for TLS 1.2 alone' },
  'tls-curve-preferences': { kind: 'text', otherwise: '', help: 'numbers of curves, such as 29,4588' },
  'metrics-cert-dir': { kind: 'text', otherwise: '', help: 'folder of tls.crt and tls.key; empty: self-signed' },
  kubeconfig: { kind: 'text', otherwise: '', help: 'outside of a cluster; else KUBECONFIG' },
  http: { kind: 'text', otherwise: '127.0.0.1:7472', help: 'where state and metrics are for this machine' },
  'webhook-port': { kind: 'number', otherwise: '9443', help: 'HTTPS port of the webhooks' },
  'bind-address': { kind: 'text', otherwise: '', help: 'address of metrics, health and webhooks; empty: all' },
} as const;

type ControllerFlags = Flags<typeof CONTROLLER_FLAGS>;

export function controllerCommand(): Command {
  return new Command('controller')
    .description('Gives addresses to the Services of a cluster; takes the flags of MetalLB.')
    .helpOption(false)
    .allowUnknownOption()
    .argument('[flags...]')
    .action(run);
}

async function run(argv: readonly string[]): Promise<void> {
  const flags = readFlags(argv);
  const log = createLog(flags['log-level'] as LogLevel);
  dieLoudly(log, () => []);
  let controller: ControllerProcess;
  try {
    const { kubeconfig } = flags;
    const access = { env: process.env, ...(kubeconfig !== '' && { kubeconfig }) };
    const cluster = await openCluster(access);
    const options = optionsOf(flags, cluster.namespace);
    if (flags['pprof-bind-address'] !== '')
      log.warn({ op: 'startup', flag: 'pprof-bind-address' }, 'the flag has no meaning here');
    controller = await ControllerProcess.start(options, cluster, log);
  } catch (fault) {
    log.error({ op: 'startup', error: (fault as Error).message }, 'cannot start');
    process.exit(1);
  }
  leaveOnSignal((signal) => {
    log.info({ op: 'shutdown', signal }, 'leaving');
    return controller.leave();
  }, LEAVE_MS);
}

function readFlags(argv: readonly string[]): ControllerFlags {
  try {
    const flags = parseGoFlags(CONTROLLER_FLAGS, argv, process.env);
    if (!LOG_LEVELS.some((level) => level === flags['log-level']))
      throw new FlagError(`invalid value "${flags['log-level']}" for flag -log-level: one of ${LOG_LEVELS.join(', ')}`);
    return flags;
  } catch (fault) {
    if (!(fault instanceof FlagError)) throw fault;
    const asked = fault.message === '';
    process.stderr.write(`${asked ? '' : `${fault.message}\n`}${usageOf('controller', CONTROLLER_FLAGS)}`);
    throw new CommanderError(asked ? 0 : 2, 'flags', fault.message);
  }
}

/** Throws an Error that names the flag or variable, and what it may be. */
export function optionsOf(flags: ControllerFlags, clusterNamespace: string | undefined): ControllerProcessOptions {
  const webhooks = (['enabled', 'disabled', 'onlywebhook'] as const).find((mode) => mode === flags['webhook-mode']);
  if (webhooks === undefined)
    throw new Error(`--webhook-mode ${flags['webhook-mode']}: must be enabled, disabled or onlywebhook`);
  const local = readSocketAddress(flags.http);
  const given = (text: string) => (text === '' ? undefined : text);
  const host = given(flags['bind-address']);
  return {
    version: VERSION,
    namespace: flags.namespace || clusterNamespace || namespaceOfPod(),
    bgpType: bgpTypeOf(process.env['METALLB_BGP_TYPE']),
    settings: {
      ...(flags['lb-class'] !== '' && { loadBalancerClass: flags['lb-class'] }),
      ignoreExcludeLabel: false,
    },
    ...(host !== undefined && { host }),
    ports: { metrics: flags.port, health: flags['health-probe-port'], webhooks: flags['webhook-port'] },
    local,
    tls: readTlsFlags({
      minVersion: flags['tls-min-version'],
      cipherSuites: flags['tls-cipher-suites'],
      curves: flags['tls-curve-preferences'],
    }),
    http2: flags['webhook-http2'],
    metricsCertificates: flags['metrics-cert-dir'],
    webhooks,
    rotation: flags['disable-cert-rotation']
      ? undefined
      : { secret: flags['webhook-secret'], service: flags['cert-service-name'] },
    folder: flags['cert-dir'],
    pod: given(flags['pod-name']),
    memberlist:
      flags['ml-secret-name'] === ''
        ? undefined
        : { name: flags['ml-secret-name'], deployment: given(flags.deployment) },
  };
}

function namespaceOfPod(): string {
  try {
    return readFileSync(NAMESPACE_FILE, 'utf8').trim();
  } catch {
    throw new Error('in which namespace are we? Set --namespace or METALLB_NAMESPACE');
  }
}

/** Unknown modes have no checks, as in MetalLB's controller. */
function bgpTypeOf(text: string | undefined): BgpType {
  return text === 'native' || text === 'frr' || text === 'frr-k8s' ? text : 'unset';
}
