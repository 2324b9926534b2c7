// What the LAN made of a plan: the plan says who may answer for an address, the packet thread who does. Laid over the
// plan here, for all who tell of it: statuses, Events, metrics, log, state. Nothing is decided by it. Called by process.

import type { Ip, Mac } from '../net/address.ts';
import type { Refusal } from './explain.ts';
import type { Candidacy, Plan, ServicePlan } from './plan.ts';
import type { ServiceKey } from './snapshot.ts';

/** How it stands with one address on one link of this node. */
export type Standing =
  | { readonly is: 'answered' }
  /** A node is heard claiming it. */
  | { readonly is: 'owned'; readonly by: string }
  /** Its owner is not heard, or nobody knows it, yet a node of ours answers for it on the LAN. */
  | { readonly is: 'still-answered'; readonly by?: string }
  | { readonly is: 'taken'; readonly mac: Mac }
  /** A speaker of MetalLB may answer. */
  | { readonly is: 'foreign' }
  /** This node answered for it until its speaker began to end, and handed it to nobody. */
  | { readonly is: 'leaving' }
  /** It is vacant, or was until just now: asked for, or not this node's turn yet. */
  | { readonly is: 'waiting' };

export interface Ownership {
  /** By address, on every link of this node that serves it. The same list while nothing of it changes. */
  readonly standings: ReadonlyMap<Ip, readonly Standing[]>;
  /** Links of this node that may answer. The same list while they are the same. */
  readonly serving: readonly string[];
}

/** What was made for each Service last, and from what. */
export interface OwnershipMemory {
  made: ReadonlyMap<ServiceKey, Made>;
  served: Plan['services'];
}

interface Made {
  readonly from: ServicePlan;
  /** Undefined: nothing of the LAN was known. */
  readonly serving: readonly string[] | undefined;
  readonly standings: readonly (readonly Standing[] | undefined)[];
  readonly plan: ServicePlan;
}

export function createOwnershipMemory(): OwnershipMemory {
  return { made: new Map(), served: new Map() };
}

/**
 * The Services as they are served: `layer2` is announced where this node answers now, else withheld with what is in the
 * way. The same object for a Service, and the same map, while nothing of it changed. `ownership` undefined: nothing is
 * known yet.
 */
export function asServed(
  memory: OwnershipMemory,
  services: Plan['services'],
  ownership: Ownership | undefined,
): Plan['services'] {
  const made = new Map<ServiceKey, Made>();
  const served = new Map<ServiceKey, ServicePlan>();
  for (const [key, from] of services) {
    if (from.candidacies.length === 0) {
      served.set(key, from);
      continue;
    }
    const before = memory.made.get(key);
    const one = before !== undefined && isCurrent(before, from, ownership) ? before : make(from, ownership);
    made.set(key, one);
    served.set(key, one.plan);
  }
  memory.made = made;
  if (!isSame(memory.served, served)) memory.served = served;
  return memory.served;
}

function make(from: ServicePlan, ownership: Ownership | undefined): Made {
  const standings = from.candidacies.map(({ ip }) => ownership?.standings.get(ip));
  return { from, serving: ownership?.serving, standings, plan: { ...from, layer2: halfOf(from, ownership) } };
}

function isCurrent(made: Made, from: ServicePlan, ownership: Ownership | undefined): boolean {
  if (made.from !== from || made.serving !== ownership?.serving) return false;
  return from.candidacies.every(({ ip }, at) => ownership?.standings.get(ip) === made.standings[at]);
}

function isSame(a: Plan['services'], b: Plan['services']): boolean {
  if (a.size !== b.size) return false;
  for (const [key, plan] of b) if (a.get(key) !== plan) return false;
  return true;
}

function halfOf({ candidacies, layer2 }: ServicePlan, ownership: Ownership | undefined): ServicePlan['layer2'] {
  if (ownership === undefined) return { withheld: waiting(undefined) };
  const standingsOf = ({ ip }: Candidacy) => ownership.standings.get(ip) ?? [];
  const answered = candidacies.filter((each) => standingsOf(each).some(({ is }) => is === 'answered'));
  if (answered.length > 0)
    return { announced: answered.map(({ service, ip, interfaces }) => ({ service, ip, interfaces })) };
  const refusals = candidacies.flatMap((each) =>
    standingsOf(each).flatMap((standing) => whyNot(each, standing, ownership)),
  );
  const [worst] = refusals.toSorted((a, b) => weight(b) - weight(a));
  if (worst !== undefined) return { withheld: worst };
  // by all that the cluster says another is to answer
  if ('withheld' in layer2) return layer2;
  const [first] = candidacies;
  return { withheld: first === undefined ? waiting(first) : unclaimed(first, ownership) };
}

/** Nobody is known to answer for it: there is something to wait for where a link of this node could serve it. */
function unclaimed(candidacy: Candidacy, { serving }: Ownership): Refusal {
  const { interfaces } = candidacy;
  const isServed = serving.some((link) => interfaces.length === 0 || interfaces.includes(link));
  return isServed ? waiting(candidacy) : unserved(candidacy);
}

/** What calls for somebody to act goes first. */
const WEIGHTS: Partial<Record<Refusal['reason'], number>> = {
  stranger: 5,
  noInterface: 4,
  ownerStillAnswers: 3,
  leftToMetalLB: 2,
  // on one link it is served: on the others there is nothing to wait for
  notOwner: 1,
};

function weight({ reason }: Refusal): number {
  return WEIGHTS[reason] ?? 0;
}

function whyNot(candidacy: Candidacy, standing: Standing, ownership: Ownership): Refusal | [] {
  const { ip } = candidacy;
  switch (standing.is) {
    case 'answered':
      return [];
    case 'owned':
      return { reason: 'notOwner', message: `node ${standing.by} answers for ${ip}` };
    case 'still-answered': {
      const who = standing.by === undefined ? 'a node that is not heard' : `node ${standing.by} is not heard, yet it`;
      return { reason: 'ownerStillAnswers', message: `${who} still answers for ${ip}` };
    }
    case 'taken':
      return { reason: 'stranger', message: `${standing.mac}, which is no node of ours, answers for ${ip}` };
    case 'foreign':
      return { reason: 'leftToMetalLB', message: `a speaker of MetalLB may answer for ${ip}` };
    case 'leaving':
      return { reason: 'speakerLeaving', message: `the speaker of this node ends, and answers for ${ip} no more` };
    case 'waiting':
      return unclaimed(candidacy, ownership);
  }
}

function waiting(address: Pick<Candidacy, 'ip'> | undefined): Refusal {
  const message =
    address && `nobody is heard answering for ${address.ip}; the LAN is listened to, or another goes first`;
  return { reason: 'notYetClaimed', message: message ?? 'what the LAN says is not known yet' };
}

function unserved({ interfaces }: Candidacy): Refusal {
  const which = interfaces.length > 0 ? `none of the interfaces ${interfaces.join(', ')}` : 'no interface';
  return { reason: 'noInterface', message: `${which} of this node can answer` };
}

/** What is told of a Service to the API stays for so long while nobody is heard answering for it: a pause is no move. */
export const LINGER_MS = 3_000;

/** Of each Service that was announced last: as it was told, and since when it waits. */
export type TellingMemory = Map<ServiceKey, { readonly announced: ServicePlan; since?: number; told?: ServicePlan }>;

/**
 * The Services as they are told to the API, which is slower than the LAN: one that stopped being answered for, and has no
 * other owner, is announced for a while yet. `now`: ms of any clock; to be asked again `LINGER_MS` later.
 */
export function asTold(memory: TellingMemory, services: Plan['services'], now: number): Plan['services'] {
  const lingering = new Map<ServiceKey, ServicePlan>();
  for (const key of memory.keys()) if (!services.has(key)) memory.delete(key);
  for (const [key, plan] of services) {
    if ('announced' in plan.layer2) {
      const last = memory.get(key);
      if (last?.announced !== plan || last.since !== undefined) memory.set(key, { announced: plan });
      continue;
    }
    const last = memory.get(key);
    if (last === undefined) continue;
    last.since = plan.layer2.withheld.reason === 'notYetClaimed' ? (last.since ?? now) : Number.NEGATIVE_INFINITY;
    if (now - last.since >= LINGER_MS) memory.delete(key);
    else {
      if (last.told?.bgp !== plan.bgp) last.told = { ...plan, layer2: last.announced.layer2 };
      lingering.set(key, last.told);
    }
  }
  return lingering.size === 0 ? services : new Map([...services, ...lingering]);
}
