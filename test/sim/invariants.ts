// What must hold in every story: always, and when nothing has been broken for a while.

import type { Path } from '../../src/bgp/attribute.ts';
import type { RouteAttributes } from '../../src/bgp/rib.ts';
import type { Prefix } from '../../src/net/address.ts';
import { viewPeers } from '../../src/speaker.ts';
import type { Node, Story } from './story.ts';
import { Violation } from './world.ts';

export interface Expectations {
  readonly holdTimeMs: number;
  readonly internal: boolean;
  readonly nodeAs: number;
}

/** Two connections each way, and as many that are being closed. */
const MOST_CONNECTIONS_A_PEER = 8;
/** The window, one message beyond it (RFC 8654), and KEEPALIVEs behind it. */
const MOST_IN_FLIGHT = 64 * 1024 + 65_535 + 19 * 1000;

/** Memory is bounded, whatever the other side does. */
export function checkAlways({ world, nodes, routers }: Story): void {
  for (const { process, routes } of [...nodes, ...routers]) {
    const { state } = process;
    const connections = state.owners.size + state.refused.size;
    if (connections > MOST_CONNECTIONS_A_PEER * Math.max(2, state.peers.size + state.leaving.size)) {
      throw new Violation(`${process.name} holds ${connections} connections`);
    }
    for (const peer of state.peers.values()) {
      const { session } = peer;
      if (session?.session === undefined) continue;
      const { rib } = session.session;
      const queued = rib.jobs.reduce((sum, job) => sum + ('prefixes' in job ? job.prefixes.length : 1), 0);
      const most = 2 * (routes.size + rib.said.size) + 100;
      if (queued > most) throw new Violation(`${process.name} → ${peer.config.name}: ${queued} prefixes queued`);
      if (session.inFlight > MOST_IN_FLIGHT)
        throw new Violation(`${process.name}: ${session.inFlight} octets in flight`);
    }
  }
  if (world.agenda.size > 5_000) throw new Violation(`${world.agenda.size} things on the agenda`);
}

/** A route that is no longer wanted is not held anywhere for longer than it takes to notice that a session is dead. */
export function checkNothingStale({ world, nodes, routers, expectations }: Story): void {
  // the hold time, three times for one that has just been refreshed by what was in the kernels; and what a fault may add
  const patience = 2 * expectations.holdTimeMs + 45_000;
  for (const router of routers) {
    if (!router.process.up || router.process.frozenUntil > world.now) continue;
    for (const node of nodes) {
      const table = learnedOf(router, node);
      for (const [prefix, since] of node.gone) {
        if (world.now - since < patience || table?.has(prefix) !== true) continue;
        throw new Violation(
          `${router.process.name} holds ${prefix} of ${node.process.name}, unwanted for ${world.now - since} ms`,
        );
      }
    }
  }
}

/** Every session is up, on both sides. */
export function checkUp({ nodes, routers }: Story): void {
  for (const [selves, others] of [
    [nodes, routers],
    [routers, nodes],
  ] as const) {
    for (const { process } of selves) {
      const views = viewPeers(process.state, false);
      for (const other of others) {
        const state = views.find(({ name }) => name === other.process.name)?.state;
        if (state !== 'Established') throw new Violation(`${process.name} → ${other.process.name} is ${state}`);
      }
    }
  }
}

/** Every router holds exactly the plan. */
export function checkTables({ nodes, routers, expectations }: Story): void {
  for (const router of routers) {
    for (const node of nodes) {
      const between = `${node.process.name} → ${router.process.name}`;
      const table = tableOf(router, node);
      for (const prefix of table.keys()) {
        if (!node.routes.has(prefix)) throw new Violation(`${between}: ${prefix} is held and not wanted`);
      }
      for (const [prefix, attributes] of node.routes) {
        const held = JSON.stringify(pathFacts(table.get(prefix)));
        const wanted = JSON.stringify(expectedFacts(prefix, attributes, node, expectations));
        if (held !== wanted) throw new Violation(`${between}: ${prefix} is ${held}, not ${wanted}`);
      }
    }
  }
}

function learnedOf(router: Node, node: Node) {
  return router.process.state.peers.get(node.process.name)?.session?.session?.learned.table;
}

function tableOf(router: Node, node: Node): ReadonlyMap<Prefix, Path> {
  return new Map([...(learnedOf(router, node)?.values() ?? [])].map(({ prefix, path }) => [prefix, path]));
}

function pathFacts(path: Path | undefined) {
  if (path === undefined) return undefined;
  const { origin, asPath, nextHop, localPref, communities } = path;
  return [origin, asPath.map(({ is, as }) => [is, as]), nextHop, localPref ?? null, communities];
}

/** RFC 4271 §5.1: ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF; and the communities that were asked for. */
function expectedFacts(prefix: Prefix, wanted: RouteAttributes, node: Node, { internal, nodeAs }: Expectations) {
  const { link, address } = node.process;
  const nextHop = prefix.includes(':') ? link.ipv6[0] : address;
  const asPath = internal ? [] : [['sequence', [nodeAs]]];
  return ['igp', asPath, nextHop, internal ? (wanted.localPref ?? 100) : null, wanted.communities];
}
