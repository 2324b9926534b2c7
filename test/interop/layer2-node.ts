// A node of a LAN for layer-2 stories: the packet half of a speaker, told what a cluster would tell it, without an API.
// `node layer2-node.ts JSON` with a NodeSetup; ends as a speaker does, on SIGTERM with a hand-over. Reports go to stdout.

import { createLog } from '../../src/io/log.ts';
import { dieLoudly, leaveOnSignal } from '../../src/io/supervise.ts';
import type { Layer2Address } from '../../src/links/wanted.ts';
import type { Ip } from '../../src/net/address.ts';
import { PacketHalf } from '../../src/process/packet-half.ts';

export interface NodeSetup {
  readonly node: string;
  /** All of the cluster with their addresses. */
  readonly nodes: Readonly<Record<string, string>>;
  /** With its candidates in order. */
  readonly vips: Readonly<Record<string, readonly string[]>>;
  /** Nobody has these. */
  readonly controls: readonly string[];
  readonly failbackMs: number;
}

const PORT = 7946;
const ip = (text: string) => text as Ip;

const setup: NodeSetup = JSON.parse(process.argv[2] ?? '');
const log = createLog('info');
const half = new PacketHalf({
  path: () => undefined,
  report: ({ report, ...about }) => log.info({ op: report, ...about }, report),
  failed: (error) => {
    throw new Error(error);
  },
});
dieLoudly(log, () => half.recent);
leaveOnSignal(() => half.leave(), 8_000);

const nodes = new Map(Object.entries(setup.nodes).map(([name, address]) => [name, ip(address)]));
half.wantLayer2({
  node: setup.node,
  addresses: Object.entries(setup.vips).map(
    ([address, candidates]): Layer2Address => ({
      ...{ ip: ip(address), interfaces: [], foreign: false, established: true },
      candidates: candidates.map((node) => ({ node, score: 0 })),
    }),
  ),
  excluded: [],
  announcements: { framesPerSecond: 500, refreshMs: 60_000 },
  liveness: {
    ...{ port: PORT, secrets: ['a secret of this story'], serving: true, conflict: 'refuse', nodes },
    speakers: new Map([...nodes].filter(([name]) => name !== setup.node).map(([name, address]) => [name, [address]])),
    controls: setup.controls.map(ip),
    failbackMs: setup.failbackMs,
  },
});
