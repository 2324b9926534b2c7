// `fairway controller`: MetalLB's flags and environment to a running ControllerProcess, and its end.

import { Command } from 'commander';
import type { BgpType } from '../config/resource.ts';
import { createLog, type LogLevel } from '../io/log.ts';
import { dieLoudly, leaveOnSignal } from '../io/supervise.ts';
import { openCluster } from '../k8s/cluster.ts';
import { ControllerProcess, type ControllerProcessOptions } from '../process/controller-process.ts';
import type { Flags } from './go-flags.ts';
import { readSocketAddress } from './options.ts';
import { given, namespaceOf, PROCESS_FLAGS, readBgpType, readProcessFlags, tlsOf } from './process-flags.ts';
import { VERSION } from './version.ts';

const LEAVE_MS = 8_000;

export const CONTROLLER_FLAGS = {
  ...PROCESS_FLAGS,
  'ml-secret-name': {
    kind: 'text',
    env: 'METALLB_ML_SECRET_NAME',
    otherwise: '',
    help: 'Secret of the speakers, made where it is missing; empty: none is',
  },
  deployment: { kind: 'text', env: 'METALLB_DEPLOYMENT', otherwise: '', help: 'Deployment that owns that Secret' },
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
  'webhook-http2': { kind: 'truth', otherwise: 'false', help: 'the webhooks speak HTTP/2 too' },
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
  const flags = readProcessFlags('controller', CONTROLLER_FLAGS, argv);
  const log = createLog(flags['log-level'] as LogLevel);
  dieLoudly(log, () => []);
  const { bgpType, strange } = readMode(process.env['METALLB_BGP_TYPE']);
  if (strange !== undefined)
    log.warn({ op: 'startup', error: strange }, 'a mode that is unknown: what it forbids is not checked');
  let controller: ControllerProcess;
  try {
    const { kubeconfig } = flags;
    const access = { env: process.env, ...(kubeconfig !== '' && { kubeconfig }) };
    const cluster = await openCluster(access);
    const options = optionsOf(flags, bgpType, cluster.namespace);
    if (flags['pprof-bind-address'] !== '')
      log.warn({ op: 'startup', flag: 'pprof-bind-address' }, 'the flag has no meaning here');
    controller = await ControllerProcess.start(options, cluster, log);
  } catch (fault) {
    log.error({ op: 'startup', error: (fault as Error).message }, 'cannot start');
    process.exit(1);
  }
  leaveOnSignal((signal) => {
    log.info({ op: 'shutdown', signal }, 'leaving');
    return controller.leave(signal === 'SIGTERM');
  }, LEAVE_MS);
}

/** Throws an Error that names the flag or variable, and what it may be. */
function optionsOf(
  flags: ControllerFlags,
  bgpType: BgpType,
  clusterNamespace: string | undefined,
): ControllerProcessOptions {
  const webhooks = (['enabled', 'disabled', 'onlywebhook'] as const).find((mode) => mode === flags['webhook-mode']);
  if (webhooks === undefined)
    throw new Error(`--webhook-mode ${flags['webhook-mode']}: must be enabled, disabled or onlywebhook`);
  const local = readSocketAddress(flags.http);
  const host = given(flags['bind-address']);
  return {
    version: VERSION,
    namespace: namespaceOf(flags, clusterNamespace),
    bgpType,
    settings: {
      ...(flags['lb-class'] !== '' && { loadBalancerClass: flags['lb-class'] }),
      ignoreExcludeLabel: false,
    },
    ...(host !== undefined && { host }),
    ports: { metrics: flags.port, health: flags['health-probe-port'], webhooks: flags['webhook-port'] },
    local,
    tls: tlsOf(flags),
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

/** `METALLB_BGP_TYPE`. One that is unknown has no checks, as in MetalLB's controller; a speaker does not start with it. */
function readMode(text: string | undefined): { readonly bgpType: BgpType; readonly strange?: string } {
  try {
    return { bgpType: readBgpType(text) };
  } catch (fault) {
    return { bgpType: 'unset', strange: (fault as Error).message };
  }
}
