// What one node announces: a pure function of the snapshot. The same function answers for every node in `fairway plan`.
// Results are kept per Service by identity of what they were made from, so that one change among ten thousand Services
// costs little; a change of Nodes, settings or configuration asks everything anew.

import type { PeerConfig } from '../bgp/peer.ts';
import type { RouteAttributes, Wanted } from '../bgp/rib.ts';
import type { Config, Pool } from '../config/config.ts';
import { familyOf, type Ip, type Prefix, parseIp } from '../net/address.ts';
import { differences, revise } from '../net/revised-map.ts';
import { type BgpPool, bgpPool, type Grant, grantsFor } from './advertise.ts';
import { notOurs } from './allocate.ts';
import { type BfdSession, bfdSessions } from './bfd.ts';
import { createElection, type Election, turnOver } from './elect.ts';
import type { Refusal } from './explain.ts';
import { type Candidacy, type Layer2Claim, type Layer2Half, type Layer2Pool, layer2For, layer2Pool } from './layer2.ts';
import { type NotServed, peersOf } from './peer.ts';
import { indexPools, type PoolIndex, poolOf } from './pools.ts';
import { addGrant, admits, createRoutes, type Routes, reachOf, removeGrant, settle } from './route.ts';
import type { Endpoint, Node, Service, ServiceKey, Snapshot } from './snapshot.ts';

export type { Candidacy, Layer2Claim } from './layer2.ts';

export interface Plan {
  readonly node: string;
  /** The sessions that this node should hold, by name. */
  readonly peers: readonly PeerConfig[];
  /** Peers of this node with which no session is held, and why. */
  readonly notServed: readonly NotServed[];
  /** By peer name: the BFD session beside it, where it has one. */
  readonly bfd: ReadonlyMap<string, BfdSession>;
  /** By peer name: what each session should carry. Every peer in `peers` has an entry; the same map while it is the same. */
  readonly routes: ReadonlyMap<string, Wanted>;
  /** Every Service of type LoadBalancer of our class. */
  readonly services: ReadonlyMap<ServiceKey, ServicePlan>;
  /** What this node answers for if every Node is alive. In no order that means anything. */
  readonly layer2: readonly Layer2Claim[];
  /** All of them; the same list while none changed. In no order that means anything. */
  readonly candidacies: readonly Candidacy[];
}

export interface ServicePlan {
  readonly ips: readonly Ip[];
  readonly pool?: string;
  /** Prefixes announced for it and to whom, or why not. A prefix may be an aggregate shared with other Services. */
  readonly bgp: { readonly announced: readonly BgpAnnouncement[] } | { readonly withheld: Refusal };
  readonly layer2: { readonly announced: readonly Layer2Claim[] } | { readonly withheld: Refusal };
  /** Its addresses that are served by layer 2 here, and who may answer for them. */
  readonly candidacies: readonly Candidacy[];
}

export interface BgpAnnouncement {
  readonly prefix: Prefix;
  readonly peers: readonly string[];
  /** Why no session carries it, though one carries another prefix of the Service. */
  readonly refusal?: Refusal;
}

/** What the next plan of the same node may use again. */
export interface Memory {
  readonly election: Election;
  last: Last | undefined;
}

interface Last {
  readonly snapshot: Snapshot;
  readonly world: World;
  readonly made: ReadonlyMap<ServiceKey, Made>;
  readonly plan: Plan;
}

/** The plan of one Service with what it was made from, and what it gives to the routes. */
interface Made extends ServicePlan {
  readonly service: Service;
  readonly endpoints: readonly Endpoint[] | undefined;
  readonly grants: readonly Grant[];
}

/** All but the Services: what follows from the configuration, the Nodes and the settings for one node. */
interface World {
  readonly node: Node;
  /** Why nothing at all is announced from the node by BGP; by layer 2 it is no candidate. */
  readonly withheld: Refusal | undefined;
  readonly pools: PoolIndex;
  readonly bgp: ReadonlyMap<string, BgpPool>;
  readonly layer2: ReadonlyMap<string, Layer2Pool>;
  readonly peers: readonly PeerConfig[];
  readonly notServed: readonly NotServed[];
  /** Of BFD. */
  readonly sessions: ReadonlyMap<string, BfdSession>;
  readonly routes: Routes;
}

const NO_ENDPOINTS: readonly Endpoint[] = [];
const NOTHING = { ips: [], candidacies: [] } as const;
const NOTHING_MADE: ReadonlyMap<ServiceKey, Made> = new Map();
const NO_ATTRIBUTES: ReadonlyMap<string, RouteAttributes> = new Map();

/** Plans of several nodes of one cluster may share an election: owners are the same for all of them. */
export function createMemory(election: Election = createElection()): Memory {
  return { election, last: undefined };
}

/** What the node announces; `memory` belongs to this node alone and is changed. */
export function plan(snapshot: Snapshot, node: string, memory: Memory = createMemory()): Plan {
  const { config } = snapshot;
  if (config === undefined) return withoutConfiguration(snapshot, node);
  const { last } = memory;
  const goesOn = last !== undefined && last.plan.node === node && sameWorld(last.snapshot, snapshot);
  const world = goesOn ? last.world : createWorld(snapshot, config, node, memory);
  const before = goesOn ? last.made : NOTHING_MADE;
  const { made, fresh, stale } =
    (goesOn ? remakeFew(last, world, memory.election, snapshot) : undefined) ??
    remakeAll(before, world, memory.election, snapshot);
  if (goesOn && fresh.length + stale.length === 0) {
    memory.last = { ...last, snapshot };
    return last.plan;
  }
  // what only changes hands is not touched: new grants come first
  for (const { grants } of fresh) for (const grant of grants) addGrant(world.routes, grant);
  for (const { grants } of stale) for (const grant of grants) removeGrant(world.routes, grant);
  const changedRoutes = settle(world.routes);
  const answer: Plan = {
    ...{ node, peers: world.peers, notServed: world.notServed, bfd: world.sessions, services: made },
    routes: goesOn && !changedRoutes ? last.plan.routes : routesOf(world.routes),
    layer2: exchange(goesOn ? last.plan.layer2 : [], stale, fresh, claimsOf),
    candidacies: exchange(goesOn ? last.plan.candidacies : [], stale, fresh, ({ candidacies }) => candidacies),
  };
  memory.last = { snapshot, world, made, plan: answer };
  return answer;
}

interface Remade {
  readonly made: ReadonlyMap<ServiceKey, Made>;
  readonly fresh: readonly Made[];
  readonly stale: readonly Made[];
}

/** Where it is known which Services may be other than before, and they are the same ones: only these. */
function remakeFew(
  { snapshot: then, made: before }: Last,
  world: World,
  election: Election,
  now: Snapshot,
): Remade | undefined {
  const keys = changedKeys(then, now);
  if (keys === undefined) return undefined;
  const fresh: Made[] = [];
  const stale: Made[] = [];
  for (const key of keys) {
    const service = now.allocated?.get(key)?.service ?? now.services.get(key);
    const [old, endpoints] = [before.get(key), now.endpoints.get(key)];
    const isOurs = service !== undefined && notOurs(service, now.settings) === undefined;
    if (isOurs !== (old !== undefined)) return undefined;
    if (!isOurs || old === undefined || (old.service === service && old.endpoints === endpoints)) continue;
    stale.push(old);
    fresh.push(make(world, election, service, endpoints, old));
  }
  return { made: revise(before, new Map(fresh.map((one) => [one.service.key, one]))), fresh, stale };
}

/** Of all Services that may be planned otherwise; undefined: not known. */
function changedKeys(then: Snapshot, now: Snapshot): ReadonlySet<ServiceKey> | undefined {
  const of = <V extends object>(
    a: ReadonlyMap<ServiceKey, V> | undefined,
    b: ReadonlyMap<ServiceKey, V> | undefined,
  ) => (a === b ? [] : a === undefined || b === undefined ? undefined : differences(a, b));
  // addresses that were given here stand in place of what is seen
  const services = now.allocated === undefined ? of(then.services, now.services) : [];
  const allocated = of(then.allocated, now.allocated);
  const endpoints = of(then.endpoints, now.endpoints);
  if (services === undefined || allocated === undefined || endpoints === undefined) return undefined;
  return new Set([...services, ...allocated, ...endpoints]);
}

function remakeAll(before: ReadonlyMap<ServiceKey, Made>, world: World, election: Election, now: Snapshot): Remade {
  const made = new Map<ServiceKey, Made>();
  const fresh: Made[] = [];
  const stale: Made[] = [];
  for (const [key, seen] of now.services) {
    const service = now.allocated?.get(key)?.service ?? seen;
    const endpoints = now.endpoints.get(key);
    let one = before.get(key);
    if (one?.service !== service || one.endpoints !== endpoints) {
      if (notOurs(service, now.settings) !== undefined) continue;
      one = make(world, election, service, endpoints, one);
      fresh.push(one);
    }
    made.set(key, one);
  }
  if (fresh.length > 0 || made.size < before.size)
    for (const [key, one] of before) if (made.get(key) !== one) stale.push(one);
  return { made, fresh, stale };
}

/** A node without a first configuration holds no session and says why. */
function withoutConfiguration({ services, settings }: Snapshot, node: string): Plan {
  const withheld = { withheld: { reason: 'noConfiguration', message: 'no configuration was accepted yet' } } as const;
  const ours = [...services.values()].filter((service) => notOurs(service, settings) === undefined);
  const plans = ours.map(({ key }) => [key, { ...NOTHING, bgp: withheld, layer2: withheld }] as const);
  const nothing = { peers: [], notServed: [], bfd: new Map(), routes: new Map(), layer2: [], candidacies: [] };
  return { node, ...nothing, services: new Map(plans) };
}

function sameWorld(a: Snapshot, b: Snapshot): boolean {
  return (
    a.config === b.config &&
    a.surroundings === b.surroundings &&
    a.settings.ignoreExcludeLabel === b.settings.ignoreExcludeLabel &&
    a.settings.loadBalancerClass === b.settings.loadBalancerClass &&
    (a.nodes === b.nodes ||
      (a.nodes.size === b.nodes.size && [...a.nodes].every(([name, node]) => b.nodes.get(name) === node)))
  );
}

function createWorld(snapshot: Snapshot, config: Config, name: string, { election, last }: Memory): World {
  const { nodes, settings } = snapshot;
  turnOver(election);
  const known = nodes.get(name);
  const node = known ?? { name, labels: {}, networkUnavailable: false, excluded: false };
  const usable = [...nodes.values()]
    .filter(({ networkUnavailable, excluded }) => !networkUnavailable && (!excluded || settings.ignoreExcludeLabel))
    .map((each) => each.name)
    .sort();
  const { peers, notServed } = peersOf(config, node, snapshot.surroundings);
  const advertisements = config.pools.flatMap(({ bgpAdvertisements }) => bgpAdvertisements);
  return {
    node,
    withheld: known === undefined ? noSuchNode(name) : undefined,
    pools: indexPools(config.pools),
    bgp: new Map(config.pools.map((pool) => [pool.name, bgpPool(pool, node, settings)])),
    layer2: new Map(
      config.pools.map((pool) => [pool.name, layer2Pool(pool, usable, { name, isGone: known === undefined })]),
    ),
    peers,
    notServed,
    sessions: bfdSessions(config, peers),
    routes: createRoutes(peers, advertisements, last?.world.routes.attributes ?? NO_ATTRIBUTES),
  };
}

/** `before`: what came of the Service last, whose half of layer 2 stays where it comes out the same. */
function make(
  world: World,
  election: Election,
  service: Service,
  seen: readonly Endpoint[] | undefined,
  before?: Made,
): Made {
  const found = addressesOf(world.pools, service);
  if ('reason' in found) {
    const withheld = { withheld: found };
    return { ...NOTHING, bgp: withheld, layer2: withheld, service, endpoints: seen, grants: [] };
  }
  const { ips, pool } = found;
  const endpoints = seen ?? NO_ENDPOINTS;
  const granted = world.withheld ?? grantsFor(wanted(world.bgp, pool.name), service, ips, endpoints);
  const half = layer2For(wanted(world.layer2, pool.name), election, service, ips, endpoints);
  const { claims, candidacies } = before !== undefined && sameHalf(before, half) ? layer2Of(before) : half;
  const bgp = 'reason' in granted ? { withheld: granted } : announced(world, granted);
  const layer2 = 'reason' in claims ? { withheld: claims } : { announced: claims };
  const grants = 'reason' in granted ? [] : granted;
  return { ips, pool: pool.name, bgp, layer2, candidacies, service, endpoints: seen, grants };
}

/** A name that is mistyped, or a node that was taken out of the cluster: nobody says what it may announce. */
function noSuchNode(name: string): Refusal {
  return { reason: 'notOwner', message: `the cluster has no Node "${name}"` };
}

/** What the Service was given, and the pool it is from, whether the pool would still give it out or not. */
function addressesOf(
  pools: PoolIndex,
  { ingress }: Service,
): { readonly ips: readonly Ip[]; readonly pool: Pool } | Refusal {
  if (ingress.length === 0) return { reason: 'noIPAllocated', message: 'the Service has no address' };
  const ips: Ip[] = [];
  for (const { ip = '', hostname = '' } of ingress) {
    const parsed = parseIp(ip);
    if (parsed === undefined)
      return { reason: 'invalidIP', message: `status holds "${ip || hostname}", which is no IP address` };
    ips.push(parsed);
  }
  const pool = poolOf(pools, ips);
  return pool === undefined
    ? { reason: 'ipNotAllowed', message: `${ips.join(' and ')} ${ips.length > 1 ? 'lie' : 'lies'} in no one pool` }
    : { ips, pool };
}

/** Which sessions carry each prefix because of these grants. */
function announced({ peers, routes, node }: World, grants: readonly Grant[]): ServicePlan['bgp'] {
  const [only, another] = grants;
  if (only !== undefined && another === undefined) {
    const reach = reachOf(routes, only.advertisement, familyOf(only.prefix));
    if (reach.length > 0) return { announced: [{ prefix: only.prefix, peers: reach }] };
  }
  const byPrefix = new Map<Prefix, readonly string[]>();
  for (const { prefix, advertisement } of grants) {
    const reach = reachOf(routes, advertisement, familyOf(prefix));
    const others = byPrefix.get(prefix);
    byPrefix.set(prefix, others === undefined ? reach : [...new Set([...others, ...reach])].sort());
  }
  const refusal = (prefix: Prefix): Refusal => {
    const given = grants.filter((grant) => grant.prefix === prefix);
    return given.some(({ advertisement }) => peers.some(({ name }) => admits(advertisement, name)))
      ? { reason: 'noPeerForFamily', message: `no session of node ${node.name} carries ${familyOf(prefix)} prefixes` }
      : { reason: 'noPeer', message: `node ${node.name} has no session among those that the advertisement names` };
  };
  const told = [...byPrefix].map(([prefix, names]) =>
    names.length > 0 ? { prefix, peers: names } : { prefix, peers: names, refusal: refusal(prefix) },
  );
  const first = told[0]?.prefix;
  const nobody = told.every((each) => each.peers.length === 0);
  return nobody && first !== undefined ? { withheld: refusal(first) } : { announced: told };
}

function routesOf({ views }: Routes): ReadonlyMap<string, Wanted> {
  return new Map([...views].map(([peer, view]) => [peer, view.wanted]));
}

/** The same list when nothing of it came or went. */
function exchange<T>(
  before: readonly T[],
  stale: readonly Made[],
  fresh: readonly Made[],
  of: (made: Made) => readonly T[],
): readonly T[] {
  const [went, come] = [stale.flatMap(of), fresh.flatMap(of)];
  if (went.length === come.length && went.every((each, at) => each === come[at])) return before;
  const gone = new Set(went);
  return [...(gone.size === 0 ? before : before.filter((each) => !gone.has(each))), ...come];
}

function layer2Of({ layer2, candidacies }: Made): Layer2Half {
  return { claims: 'announced' in layer2 ? layer2.announced : layer2.withheld, candidacies };
}

/** Interfaces and candidates are one list each for as long as they are the same. */
function sameHalf({ layer2, candidacies }: Made, half: Layer2Half): boolean {
  if ('announced' in layer2 === 'reason' in half.claims || candidacies.length !== half.candidacies.length) return false;
  if ('withheld' in layer2 && 'reason' in half.claims) {
    const { reason, message } = half.claims;
    if (layer2.withheld.reason !== reason || layer2.withheld.message !== message) return false;
  }
  return candidacies.every(({ ip, interfaces, candidates }, at) => {
    const other = half.candidacies[at];
    return ip === other?.ip && interfaces === other.interfaces && candidates === other.candidates;
  });
}

function claimsOf({ layer2 }: Made): readonly Layer2Claim[] {
  return 'announced' in layer2 ? layer2.announced : [];
}

function wanted<T>(byPool: ReadonlyMap<string, T>, pool: string): T {
  const found = byPool.get(pool);
  if (found === undefined) throw new Error(`a pool of another configuration: ${pool}`);
  return found;
}
