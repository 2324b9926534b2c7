// Speakers on a LAN of the simulated network, as whole `links` machines: what main wants of each, a client that asks who has an
// address, and who answers at every moment. Called by the tests beside it.

import * as arp from '../../src/l2/arp.ts';
import { isReady } from '../../src/l2/segment.ts';
import type { Layer2Address, Layer2Wanted, LinksWanted, LivenessWanted } from '../../src/links/wanted.ts';
import { viewLinks } from '../../src/links.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import { ranking } from '../../src/plan/elect.ts';
import type { Host, Port } from './world.ts';
import { ip, port, World } from './world.ts';

export const VIP = ip('192.0.2.100');
export const CONTROLS = [ip('192.0.2.251'), ip('192.0.2.252')];
export const NAMES = ['node-a', 'node-b', 'node-c'] as const;

export interface Cluster {
  readonly world: World;
  readonly nodes: Host[];
  readonly client: Host;
  vips: Ip[];
  secrets: readonly string[];
  liveness: boolean;
  /** Changed before what is wanted is handed out. */
  address: (address: Layer2Address) => Layer2Address;
  layer2: (wanted: Layer2Wanted, host: Host) => Layer2Wanted;
  withLiveness: (wanted: LivenessWanted, host: Host) => LivenessWanted;
}

/** `more`: other links of a node. */
export function cluster(seed: number, count = 3, more: (at: number) => Port[] = () => []): Cluster {
  const world = new World(seed);
  const nodes = Array.from({ length: count }, (_, at) =>
    world.host(
      at < 26 ? `node-${String.fromCharCode(97 + at)}` : `node-${at}`,
      port('eth0', 'lan', at + 1, `192.0.2.${at + 1}/24`, `fe80::${at + 1}/64`),
      ...more(at),
    ),
  );
  const client = world.host('client', port('eth0', 'lan', 200, '192.0.2.200/24'));
  const self: Cluster = {
    ...{ world, nodes, client, vips: [VIP], secrets: ['first'], liveness: true },
    address: (address) => address,
    layer2: (wanted) => wanted,
    withLiveness: (wanted) => wanted,
  };
  chatter(self);
  return self;
}

/** Somebody asks for something twice a second: what an open port is known by. */
function chatter({ world, client }: Cluster): void {
  const question = arp.question('02:00:00:00:00:c8' as Mac, ip('192.0.2.199'), arp.BROADCAST, ip('192.0.2.200'));
  const speak = (): void => {
    world.transmit(client, 'eth0', question);
    world.after(500, speak);
  };
  speak();
}

export function wantedBy(self: Cluster, host: Host): LinksWanted {
  const { nodes, vips, secrets } = self;
  const names = nodes.map(({ name }) => ({ node: name, score: 0 }));
  const addressOf = (node: Host): Ip => {
    const own = node.ports[0]?.addresses[0]?.ip;
    if (own === undefined) throw new Error(`${node.name} has no address`);
    return own;
  };
  const liveness: LivenessWanted = {
    ...{ port: 7946, secrets, failbackMs: 120_000, conflict: 'refuse', serving: true, controls: CONTROLS },
    speakers: new Map(nodes.map((node) => [node.name, [addressOf(node)]])),
    nodes: new Map(nodes.map((node) => [node.name, addressOf(node)])),
  };
  const layer2: Layer2Wanted = {
    node: host.name,
    addresses: vips.map((each) =>
      self.address({ ip: each, candidates: ranking(each, names), interfaces: [], foreign: false, established: false }),
    ),
    excluded: [],
    announcements: { framesPerSecond: 500, refreshMs: 60_000 },
    ...(self.liveness && { liveness: self.withLiveness(liveness, host) }),
  };
  return { sessions: new Map(), layer2: self.layer2(layer2, host) };
}

export function startAll(self: Cluster): void {
  for (const node of self.nodes) self.world.start(node, wantedBy(self, node));
}

/** What main wants now, to all that run. */
export function publish(self: Cluster): void {
  for (const node of self.nodes) if (node.machine !== undefined) self.world.want(node, wantedBy(self, node));
}

/** Whose machine answers for the address on that LAN now. */
export function answerers({ nodes }: Cluster, address: Ip = VIP, lan = 'lan'): readonly string[] {
  return nodes
    .filter((node) =>
      node.ports.some(
        ({ name, lan: on, up, carrier }) =>
          on === lan &&
          up &&
          carrier &&
          node.powered &&
          node.frames.has(name) &&
          node.machine?.lans.get(name)?.responder.claims.has(address),
      ),
    )
    .map(({ name }) => name);
}

/** The MACs that answer a client's broadcast question within 5 ms. */
export function asked({ world, client }: Cluster, address: Ip = VIP): readonly Mac[] {
  const before = client.answered.length;
  world.transmit(client, 'eth0', arp.question('02:00:00:00:00:c8' as Mac, address, arp.BROADCAST, ip('192.0.2.200')));
  world.run(5);
  return client.answered.slice(before).flatMap((each) => (each.ip === address ? [each.mac] : []));
}

/** The nodes in the order of the election. */
export function orderOf({ nodes }: Cluster, address: Ip = VIP): Host[] {
  const order = ranking(
    address,
    nodes.map(({ name }) => ({ node: name, score: 0 })),
  );
  return order.flatMap(({ node }) => nodes.filter(({ name }) => name === node));
}

export function nodeOf({ nodes }: Cluster, name: string | undefined): Host {
  const found = nodes.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

export interface Outage {
  /** ms in which nobody, and in which more than one answered, the longest stretch of each. */
  readonly none: number;
  readonly two: number;
  readonly last: readonly string[];
}

/** Lets time pass and watches who answers, every ms. */
export function watch(self: Cluster, ms: number, address: Ip = VIP): Outage {
  let [none, two, noneNow, twoNow] = [0, 0, 0, 0];
  for (let at = 0; at < ms; at++) {
    self.world.run(1);
    const count = answerers(self, address).length;
    noneNow = count === 0 ? noneNow + 1 : 0;
    twoNow = count > 1 ? twoNow + 1 : 0;
    none = Math.max(none, noneNow);
    two = Math.max(two, twoNow);
  }
  return { none, two, last: answerers(self, address) };
}

export function viewOf({ world }: Cluster, host: Host) {
  if (host.machine === undefined) throw new Error(`${host.name} does not run`);
  return viewLinks(host.machine, world.now);
}

export const isServing = ({ world }: Cluster, host: Host, link = 'eth0'): boolean => {
  const segment = host.machine?.lans.get(link)?.segment;
  return segment !== undefined && isReady(segment, world.now);
};
