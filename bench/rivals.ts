// The candidates of the announcing benches: each dials FRR from a node's namespace and announces a list of prefixes when
// told to. BIRD has static routes that are enabled; GoBGP is fed a table dump (RFC 6396) over one gRPC stream; ours is a
// plan handed to the speaker.

import { execFileSync } from 'node:child_process';
import { createWriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startBird } from '../test/interop/bird.ts';
import { startGobgp } from '../test/interop/gobgp.ts';
import { type Lab, node, ROUTER } from '../test/interop/lab.ts';
import { until } from '../test/interop/process.ts';

/** A candidate that is connected and waits. */
export interface Announcer {
  readonly pid: number;
  /** Tells it to announce everything. */
  readonly go: () => Promise<void>;
  /** When it was told, in ms since the epoch; asked once all has arrived. */
  readonly toldAt: () => number;
}

export type StartAnnouncer = (lab: Lab, prefixes: readonly string[]) => Promise<Announcer>;

export const now = (): number => performance.timeOrigin + performance.now();

export const NODE_AS = 64501;
export const ROUTER_AS = 64512;
const PEER = { address: ROUTER.ipv4, local: node(1).ipv4, as: ROUTER_AS, families: ['ipv4'] } as const;

/** The first `count` host routes of the benchmarking range 198.18.0.0/15 (RFC 2544). */
export function prefixesOf(count: number): string[] {
  if (count > 1 << 17) throw new Error('198.18.0.0/15 has 131072 addresses');
  return Array.from({ length: count }, (_, i) => `198.${18 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}/32`);
}

export async function startOurs(lab: Lab, prefixes: readonly string[]): Promise<Announcer> {
  const folder = lab.makeFolder('ours');
  const file = join(folder, 'prefixes');
  writeFileSync(file, prefixes.join('\n'));
  const daemon = lab.spawn('ours', 'n1', [
    ...[process.execPath, join(import.meta.dirname, 'announcer.ts')],
    ...[node(1).ipv4, `${NODE_AS}`, ROUTER.ipv4, `${ROUTER_AS}`, file],
  ]);
  await until('ours waits', () => daemon.log().includes('established'), 20_000);
  return {
    pid: daemon.pid,
    go: async () => daemon.signal('SIGUSR2'),
    toldAt: () => Number(/^told (\S+)$/m.exec(daemon.log())?.[1]),
  };
}

export async function startBirdAnnouncer(lab: Lab, prefixes: readonly string[]): Promise<Announcer> {
  const routes = [
    'protocol static burst { disabled; ipv4;',
    ...prefixes.map((prefix) => ` route ${prefix} blackhole;`),
    '}',
  ];
  const bird = await startBird(lab, {
    place: 'n1',
    as: NODE_AS,
    routerId: node(1).ipv4,
    peers: [PEER],
    extra: routes,
    kernel: false,
  });
  await until('BIRD is up', async () => (await bird.state(ROUTER.ipv4)) === 'Established', 20_000);
  let told = Number.NaN;
  const go = async (): Promise<void> => {
    told = now();
    await bird.ask('enable burst');
  };
  return { pid: bird.daemon.pid, go, toldAt: () => told };
}

export async function startGobgpAnnouncer(lab: Lab, prefixes: readonly string[]): Promise<Announcer> {
  const gobgp = await startGobgp(lab, { place: 'n1', as: NODE_AS, routerId: node(1).ipv4, peers: [PEER] });
  await until('GoBGP is up', async () => (await gobgp.state(ROUTER.ipv4)) === 'Established', 30_000);
  const dump = tableDump(prefixes, node(1).ipv4);
  // its client loses what it has not sent when its input ends: the pipe is left open
  const pipe = join(lab.makeFolder('dump'), 'pipe');
  execFileSync('mkfifo', [pipe]);
  lab.spawn('inject', 'n1', ['/usr/bin/gobgp', 'mrt', 'inject', 'global', pipe]);
  const stream = createWriteStream(pipe);
  await new Promise((resolve) => stream.once('open', resolve));
  let told = Number.NaN;
  const go = async (): Promise<void> => {
    told = now();
    stream.write(dump);
  };
  return { pid: gobgp.daemon.pid, go, toldAt: () => told };
}

/** A TABLE_DUMP_V2 file (RFC 6396 §4.3): one peer, one entry for each IPv4 prefix. */
function tableDump(prefixes: readonly string[], nextHop: string): Buffer {
  const address = (text: string): Buffer => Buffer.from(text.split('.').map(Number));
  const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);
  const u32 = (value: number): Buffer => Buffer.concat([u16(value >>> 16), u16(value & 0xffff)]);
  const record = (subtype: number, body: Buffer): Buffer =>
    Buffer.concat([u32(1_700_000_000), u16(13), u16(subtype), u32(body.length), body]);
  // ORIGIN IGP, an empty AS_PATH, NEXT_HOP
  const attributes = Buffer.concat([Buffer.from([0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4]), address(nextHop)]);
  const peerIndex = [
    address(nextHop),
    u16(0),
    u16(1),
    Buffer.from([2]),
    address(nextHop),
    address(nextHop),
    u32(NODE_AS),
  ];
  const entries = prefixes.map((prefix, sequence) => {
    const [network = '', length = '32'] = prefix.split('/');
    return record(
      2,
      Buffer.concat([
        ...[u32(sequence), Buffer.from([Number(length)]), address(network).subarray(0, Math.ceil(Number(length) / 8))],
        ...[u16(1), u16(0), u32(1_700_000_000), u16(attributes.length), attributes],
      ]),
    );
  });
  return Buffer.concat([record(1, Buffer.concat(peerIndex)), ...entries]);
}
