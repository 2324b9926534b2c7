// `fairway speaker`: MetalLB's flags and environment to a running SpeakerProcess, and its end. What MetalLB's speaker
// takes and ours has no use for is taken too, and said why.

import { Command } from 'commander';
import type { BgpType } from '../config/resource.ts';
import { createLog, type LogLevel } from '../io/log.ts';
import { dieLoudly, leaveOnSignal } from '../io/supervise.ts';
import { openCluster } from '../k8s/cluster.ts';
import { EXCLUDE_FILE, readExcluded } from '../process/exclude-interfaces.ts';
import { SpeakerProcess, type SpeakerProcessOptions } from '../process/speaker-process.ts';
import type { Flags } from './go-flags.ts';
import { LAYER2_FLAGS, readLayer2Settings, readMemberlistFlags } from './layer2-flags.ts';
import { readSocketAddress, readSocketAddresses } from './options.ts';
import { given, namespaceOf, PROCESS_FLAGS, readBgpType, readProcessFlags, tlsOf } from './process-flags.ts';
import { VERSION } from './version.ts';

/** Within the grace period of the manifests. */
const LEAVE_MS = 8_000;

export const SPEAKER_FLAGS = {
  ...PROCESS_FLAGS,
  'node-name': { kind: 'text', env: 'METALLB_NODE_NAME', otherwise: '', help: 'name of this node; required' },
  host: { kind: 'text', env: 'METALLB_HOST', otherwise: '', help: 'taken, and unused as in MetalLB' },
  'ignore-exclude-lb': {
    kind: 'truth',
    otherwise: 'false',
    help: 'announce also from a node that is labelled to be left out',
  },
  'bgp-listen': {
    kind: 'text',
    otherwise: '',
    help: 'ADDR:PORT,… where BGP connections of configured peers are accepted; empty: dial only',
  },
  'frrk8s-namespace': {
    kind: 'text',
    env: 'FRRK8S_NAMESPACE',
    otherwise: '',
    help: 'where an FRRConfiguration of MetalLB is looked for in frr-k8s mode; empty: -namespace',
  },
  'frrk8s-secret-passthrough': { kind: 'truth', otherwise: 'false', help: 'taken: no FRRConfiguration is written' },
  'bgp-debounce-timeout': {
    kind: 'text',
    env: 'METALLB_BGP_DEBOUNCE_TIMEOUT',
    otherwise: '',
    help: 'taken: changes go at once (ms)',
  },
  ...LAYER2_FLAGS,
} as const;

type SpeakerFlags = Flags<typeof SPEAKER_FLAGS>;
type Environment = Readonly<Record<string, string | undefined>>;

export function speakerCommand(): Command {
  return new Command('speaker')
    .description('Announces the addresses of Services from a node of a cluster; takes the flags of MetalLB.')
    .helpOption(false)
    .allowUnknownOption()
    .argument('[flags...]')
    .action(run);
}

async function run(argv: readonly string[]): Promise<void> {
  const flags = readProcessFlags('speaker', SPEAKER_FLAGS, argv);
  const log = createLog(flags['log-level'] as LogLevel);
  let speaker: SpeakerProcess | undefined;
  dieLoudly(log, () => speaker?.recent ?? []);
  try {
    const kubeconfig = given(flags.kubeconfig);
    const cluster = await openCluster({ env: process.env, ...(kubeconfig !== undefined && { kubeconfig }) });
    const excluded = await readExcluded(EXCLUDE_FILE);
    const options = speakerOptions(flags, process.env, cluster.namespace, excluded);
    for (const { what, why } of withoutMeaning(flags, process.env))
      log.warn({ op: 'startup', what, error: why }, 'has no meaning here');
    speaker = await SpeakerProcess.start(options, cluster, log);
  } catch (fault) {
    log.error({ op: 'startup', error: (fault as Error).message }, 'cannot start');
    process.exit(1);
  }
  const running = speaker;
  leaveOnSignal((signal) => {
    log.info({ op: 'shutdown', signal }, 'leaving');
    return running.leave();
  }, LEAVE_MS);
}

/** Throws an Error that names the flag or variable, and what it may be. */
export function speakerOptions(
  flags: SpeakerFlags,
  env: Environment,
  clusterNamespace: string | undefined,
  /** Interfaces that never serve layer 2: expressions. */
  excluded: readonly string[] = [],
): SpeakerProcessOptions {
  const node = flags['node-name'];
  if (node === '') throw new Error('which node is this? Set --node-name or METALLB_NODE_NAME');
  const bgpType = readBgpType(env['METALLB_BGP_TYPE']);
  refuseContradictions(flags, bgpType);
  const namespace = namespaceOf(flags, clusterNamespace);
  const loadBalancerClass = given(flags['lb-class']);
  const memberlist = readMemberlistFlags(flags);
  return {
    ...{ version: VERSION, node, namespace, bgpType },
    settings: {
      ...(loadBalancerClass !== undefined && { loadBalancerClass }),
      ignoreExcludeLabel: flags['ignore-exclude-lb'],
    },
    frrK8sNamespace: flags['frrk8s-namespace'] || namespace,
    listen: flags['bgp-listen'] === '' ? [] : readSocketAddresses(flags['bgp-listen']),
    ports: { metrics: flags.port, health: flags['health-probe-port'] },
    local: readSocketAddress(flags.http),
    tls: tlsOf(flags),
    metricsCertificates: flags['metrics-cert-dir'],
    pod: given(flags['pod-name']),
    layer2: { ...readLayer2Settings(flags), excluded },
    ...(memberlist !== undefined && { memberlist }),
  };
}

/** MetalLB's own. */
function refuseContradictions(flags: SpeakerFlags, bgpType: BgpType): void {
  const debounce = flags['bgp-debounce-timeout'];
  if (debounce !== '' && !/^0*[1-9]\d{0,8}$/.test(debounce))
    throw new Error(`--bgp-debounce-timeout ${debounce}: must be a positive number of ms`);
  if (!flags['frrk8s-secret-passthrough']) return;
  if (bgpType !== 'frr-k8s') throw new Error('--frrk8s-secret-passthrough is for METALLB_BGP_TYPE=frr-k8s alone');
  if (flags['frrk8s-namespace'] === '') throw new Error('--frrk8s-secret-passthrough needs --frrk8s-namespace');
}

/** What was given and does nothing here, and why. */
export function withoutMeaning(
  flags: SpeakerFlags,
  env: Environment,
): readonly { readonly what: string; readonly why: string }[] {
  const frr = ['FRR_CONFIG_FILE', 'FRR_RELOADER_PID_FILE', 'FRR_LOGGING_LEVEL'].filter((name) => env[name]);
  const rows: readonly (readonly [isGiven: boolean, what: string, why: string])[] = [
    [flags['pprof-bind-address'] !== '', '--pprof-bind-address', 'there is no Go to profile'],
    [flags['ml-wan-config'], '--ml-wan-config', 'there is no memberlist whose timers it could stretch'],
    [flags['bgp-debounce-timeout'] !== '', '--bgp-debounce-timeout', 'nothing is debounced: a change goes at once'],
    [flags['frrk8s-secret-passthrough'], '--frrk8s-secret-passthrough', 'no FRRConfiguration is written'],
    [frr.length > 0, frr.join(', '), 'FRR does not run here: the speaker has its own BGP'],
  ];
  return rows.flatMap(([isGiven, what, why]) => (isGiven ? [{ what, why }] : []));
}
