// `fairway standalone`: flags and environment to a running Standalone, and its end.

import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import type { BgpType } from '../config/resource.ts';
import { createLog, LOG_LEVELS, type LogLevel } from '../io/log.ts';
import { dieLoudly, leaveOnSignal } from '../io/supervise.ts';
import type { SocketAddress } from '../net/io.ts';
import { allBut } from '../process/exclude-interfaces.ts';
import { Standalone } from '../standalone.ts';
import { LAYER2_DEFAULTS } from './layer2-flags.ts';
import { readInterface, readSocketAddress, readSocketAddresses } from './options.ts';
import { VERSION } from './version.ts';

/** From the first signal to the end of the process. */
const LEAVE_MS = 4_500;

interface Flags {
  readonly manifests: string;
  readonly node: string;
  readonly http: SocketAddress;
  readonly bgpListen?: readonly SocketAddress[];
  readonly layer2?: readonly string[];
  readonly state?: string;
  readonly lbClass?: string;
  readonly ignoreExcludeLb?: true;
  readonly logLevel: LogLevel;
}

export function standaloneCommand(): Command {
  return new Command('standalone')
    .description(
      'Serves a folder of manifests (Service, EndpointSlice, Node, Namespace, Secret and the kinds of metallb.io) as one\n' +
        'node of a cluster would: gives addresses to Services, announces them by BGP and, with --layer2,\n' +
        'on a LAN. The folder is watched.',
    )
    .requiredOption('--manifests <dir>', 'folder of *.yaml, *.yml and *.json')
    .requiredOption('--node <name>', 'name of this node')
    .addOption(
      new Option('--http <addr:port>', 'where state, metrics and health are served')
        .argParser(readSocketAddress)
        .default(readSocketAddress('127.0.0.1:7472'), '127.0.0.1:7472'),
    )
    .option(
      '--bgp-listen <addr:port,…>',
      'accept BGP connections of configured peers here (default: dial only)',
      readSocketAddresses,
    )
    .option(
      '--layer2 <interface>',
      'answer ARP and Neighbor Discovery on this interface, and on no other (may be given again; default: none)',
      (name: string, names: readonly string[] = []) => [...names, readInterface(name)],
    )
    .option('--state <file>', 'where addresses are remembered (default: DIR.state.json)')
    .option('--lb-class <class>', 'serve Services of this loadBalancerClass (default: those without one)')
    .option('--ignore-exclude-lb', 'announce also from a node that is labelled to be left out')
    .addOption(new Option('--log-level <level>', 'how much is logged').choices(LOG_LEVELS).default('info'))
    .addHelpText(
      'after',
      '\nEnvironment: METALLB_BGP_TYPE (native, frr, frr-k8s; unset: what only FRR mode refuses is a warning),\n' +
        'METALLB_NAMESPACE (metallb-system). SIGTERM leaves all peers; a second one ends at once.',
    )
    .action(run);
}

async function run(flags: Flags, command: Command): Promise<void> {
  const log = createLog(flags.logLevel);
  const { manifests, node, http, lbClass } = flags;
  const options = {
    ...{ manifests, node, http, version: VERSION },
    listen: flags.bgpListen ?? [],
    ...(flags.layer2 !== undefined && {
      layer2: { ...LAYER2_DEFAULTS, excluded: [allBut(flags.layer2)], named: flags.layer2 },
    }),
    stateFile: flags.state ?? `${resolve(manifests)}.state.json`,
    settings: {
      ...(lbClass !== undefined && { loadBalancerClass: lbClass }),
      ignoreExcludeLabel: flags.ignoreExcludeLb === true,
    },
    bgpType: bgpTypeOf(process.env['METALLB_BGP_TYPE'], command),
    namespace: process.env['METALLB_NAMESPACE'] || 'metallb-system',
  };
  let standalone: Standalone | undefined;
  dieLoudly(log, () => standalone?.recent ?? []);
  try {
    standalone = await Standalone.start(options, log);
  } catch (fault) {
    log.error({ op: 'startup', error: (fault as Error).message }, 'cannot start');
    process.exit(1);
  }
  const running = standalone;
  leaveOnSignal((signal) => {
    log.info({ op: 'shutdown', signal }, 'leaving');
    return running.leave();
  }, LEAVE_MS);
}

function bgpTypeOf(text: string | undefined, command: Command): BgpType {
  if (text === undefined || text === '') return 'unset';
  if (text === 'native' || text === 'frr' || text === 'frr-k8s') return text;
  return command.error(`error: METALLB_BGP_TYPE is "${text}", not native, frr or frr-k8s`);
}
