// Layer 2 between the plan and the packet thread: downwards what is wanted of it, upwards what it answers for, laid over
// the plan for all who tell of it. One for a process, of standalone as of the speaker in a cluster, which carries between
// this and the thread.

import type { Config } from '../config/config.ts';
import type { Speakers } from '../k8s/speaker-pods.ts';
import type { LinksReport } from '../links/report.ts';
import type { Layer2Wanted } from '../links/wanted.ts';
import { type Ip, type Mac, parseIp } from '../net/address.ts';
import { differences } from '../net/revised-map.ts';
import { lineOfLayer2Report, linesOfLayer2Services } from '../observe/layer2-log.ts';
import { type Layer2Counts, NO_LAYER2_COUNTS } from '../observe/layer2-metrics.ts';
import type { Line } from '../observe/log.ts';
import { asServed, createOwnershipMemory, type Ownership, type Standing } from '../plan/ownership.ts';
import type { Plan } from '../plan/plan.ts';
import type { Node, ServiceKey } from '../plan/snapshot.ts';
import { type Layer2View, standingsOf } from './layer2-view.ts';
import { controlsOf, type Layer2Settings, layer2Wanted } from './layer2-wanted.ts';

/** How the speakers of a cluster know each other. */
export interface LivenessSource {
  readonly port: number;
  /** Undefined: not known yet. */
  readonly speakers: () => Speakers | undefined;
  /** The one to sign with first. */
  readonly secrets: () => readonly string[];
}

export interface Layer2Options {
  readonly settings: Layer2Settings;
  /** Absent: each node answers by the snapshot alone. */
  readonly liveness?: LivenessSource;
  readonly say: (line: Line) => void;
  /** The Services are served otherwise than before. */
  readonly changed: () => void;
  readonly warn: (warning: Layer2Warning) => void;
}

/** What the owner of a Service should know. */
export type Layer2Warning = { readonly service: ServiceKey; readonly ip: Ip } & (
  | { readonly is: 'stranger'; readonly mac: Mac; readonly claimed: boolean; readonly gateway: boolean }
  /** None of the interfaces that its advertisements name is on this node. */
  | { readonly is: 'no-interface' }
);

/** What a plan follows from, as far as it concerns layer 2. */
export interface Layer2Grounds {
  readonly plan: Plan;
  readonly config: Config | undefined;
  readonly nodes: ReadonlyMap<string, Node>;
  /** Asked once: addresses that Services had before this process knew of them. */
  readonly established: () => Iterable<string>;
}

interface Last {
  readonly from: readonly unknown[];
  readonly wanted: Layer2Wanted | undefined;
}

export class Layer2 {
  readonly #options: Layer2Options;
  readonly #memory = createOwnershipMemory();
  readonly #standings = new Map<Ip, readonly Standing[]>();
  /** Something was heard of the packet thread. */
  #isHeard = false;
  #plan: Plan | undefined;
  #served: Plan['services'] = new Map();
  #established: ReadonlySet<Ip> | undefined;
  /** The configuration that the addresses were looked through with last. */
  #reviewed: Config | undefined;
  #controls: readonly Ip[] = [];
  #last: Last = { from: [], wanted: undefined };
  #serving: readonly string[] = [];
  #known: ReadonlySet<string> | undefined;
  #unserved: ReadonlySet<string> = new Set();
  #missing: ReadonlySet<string> = new Set();
  #counts: Layer2Counts = NO_LAYER2_COUNTS;
  #view: Layer2View | undefined;
  #leaving = false;

  constructor(options: Layer2Options) {
    this.#options = options;
  }

  /** The Services as they are served; another map whenever something may be another. */
  get services(): Plan['services'] {
    return this.#served;
  }

  get counts(): Layer2Counts {
    return this.#counts;
  }

  /** What is wanted now; the same object while it is the same. Asked whenever plan, Pods or Secret may be others. */
  follow({ plan, config, nodes, established }: Layer2Grounds): Layer2Wanted | undefined {
    const { settings, liveness } = this.#options;
    if (plan !== this.#plan) this.#settle(plan, config, established);
    const speakers = liveness?.speakers();
    const secrets = liveness?.secrets() ?? [];
    const from = [plan.candidacies, this.#established, this.#controls, speakers, secrets.join('\n'), nodes];
    if (!from.every((each, at) => each === this.#last.from[at])) {
      const wanted = layer2Wanted({
        ...{ plan, settings, established: this.#established ?? new Set() },
        metallb: speakers?.metallb ?? new Set(),
        ...(liveness !== undefined && {
          liveness: {
            ...{ port: liveness.port, secrets, controls: this.#controls },
            speakers: new Map([...(speakers?.ours ?? [])].filter(([node]) => node !== plan.node)),
            nodes: new Map([...nodes.values()].flatMap(({ name, address }) => (address ? [[name, address]] : []))),
            // who does not know yet whether MetalLB runs takes nothing
            serving: speakers !== undefined,
          },
        }),
      });
      this.#last = { from, wanted };
    }
    return this.#last.wanted;
  }

  /** What the packet thread tells. */
  take(report: LinksReport): void {
    this.#isHeard = true;
    if (report.report === 'l2-answers') {
      for (const [ip, links] of report.addresses) this.#answer(ip, links.length);
      this.#serve();
      return;
    }
    if (report.report === 'l2-released' && report.because === 'handed-over' && report.to !== undefined)
      this.#stand(report.ip, [{ is: 'owned', by: report.to }]);
    if (report.report === 'l2-links') this.#meetLinks(report.serving, report.known);
    if (report.report === 'l2-stranger') this.#warnOfStranger(report);
    this.#count(report);
    const line = lineOfLayer2Report(report);
    if (line !== undefined) this.#options.say(line);
  }

  /** All that the packet thread knows, as it was last asked. The same view again is older than what was told since. */
  look(view: Layer2View): void {
    // while this node leaves, what it gave up is not what a view calls vacant
    if (view === this.#view || this.#leaving) return;
    this.#view = view;
    this.#isHeard = true;
    const seen = standingsOf(view);
    for (const [ip, standings] of seen) this.#stand(ip, standings);
    for (const ip of this.#standings.keys()) if (!seen.has(ip)) this.#standings.delete(ip);
    this.#serve();
  }

  /** From now on what is given up is given up for good. */
  leave(): void {
    this.#leaving = true;
  }

  #count(report: LinksReport): void {
    const { claims, releases, strangers, late } = this.#counts;
    const more = (counts: Layer2Counts['claims'], name: string) => ({ ...counts, [name]: (counts[name] ?? 0) + 1 });
    if (report.report === 'l2-claimed') this.#counts = { ...this.#counts, claims: more(claims, report.because) };
    if (report.report === 'l2-released') this.#counts = { ...this.#counts, releases: more(releases, report.because) };
    if (report.report === 'l2-stranger') this.#counts = { ...this.#counts, strangers: strangers + 1 };
    if (report.report === 'l2-late') this.#counts = { ...this.#counts, late: late + 1 };
  }

  get #ownership(): Ownership {
    return { standings: this.#standings, serving: this.#serving };
  }

  /** On so many links. What was handed over just now stays that. */
  #answer(ip: Ip, links: number): void {
    const wasAnswered = this.#standings.get(ip)?.some(({ is }) => is === 'answered') ?? false;
    if (links > 0) this.#stand(ip, Array<Standing>(links).fill({ is: 'answered' }));
    else if (wasAnswered) this.#stand(ip, [{ is: this.#leaving ? 'leaving' : 'waiting' }]);
  }

  #stand(ip: Ip, standings: readonly Standing[]): void {
    if (JSON.stringify(this.#standings.get(ip)) !== JSON.stringify(standings)) this.#standings.set(ip, standings);
  }

  /** Another plan. */
  #settle(plan: Plan, config: Config | undefined, established: Layer2Grounds['established']): void {
    const before = this.#plan;
    this.#plan = plan;
    // before a first configuration no plan knows an address
    if (config !== undefined && !(config === this.#reviewed && before !== undefined && sameAddresses(before, plan))) {
      this.#review(plan, config, established);
      this.#reviewed = config;
    }
    this.#serve();
  }

  /** What is known of the addresses themselves. */
  #review(plan: Plan, { pools }: Config, established: Layer2Grounds['established']): void {
    const taken = new Set<Ip>();
    for (const { ips } of plan.services.values()) for (const ip of ips) taken.add(ip);
    const before = this.#established ?? new Set([...established()].flatMap((text) => parseIp(text) ?? []));
    // what was given up and is given again is as new
    const kept = [...before].filter((ip) => taken.has(ip));
    this.#established = this.#established !== undefined && kept.length === before.size ? before : new Set(kept);
    const controls = plan.candidacies.length === 0 ? [] : controlsOf(pools, taken);
    if (controls.join() !== this.#controls.join()) this.#controls = controls;
  }

  #serve(): void {
    if (this.#plan === undefined) return;
    const before = this.#served;
    this.#served = asServed(this.#memory, this.#plan.services, this.#isHeard ? this.#ownership : undefined);
    this.#warnOfInterfaces();
    if (this.#served === before) return;
    for (const line of linesOfLayer2Services(before, this.#served)) this.#options.say(line);
    this.#options.changed();
  }

  #meetLinks(serving: readonly string[], known: readonly string[]): void {
    const [before, now] = [new Set(this.#serving), new Set(serving)];
    if (serving.join() !== this.#serving.join()) this.#serving = serving;
    this.#known = new Set(known);
    const say = (event: string, msg: string, name: string) =>
      this.#options.say({ level: 'info', msg, fields: { event, interface: name } });
    // as MetalLB calls it; NDP comes and goes with it
    for (const name of now) if (!before.has(name)) say('createARPResponder', 'interface serves layer 2', name);
    for (const name of before) if (!now.has(name)) say('deleteARPResponder', 'interface serves layer 2 no more', name);
    this.#missNamed(now);
    this.#serve();
  }

  /** Interfaces that a flag names: each once, for as long as it does not serve. */
  #missNamed(serving: ReadonlySet<string>): void {
    const missing = new Set(this.#options.settings.named?.filter((name) => !serving.has(name)));
    for (const name of missing) {
      if (this.#missing.has(name)) continue;
      const error = this.#known?.has(name)
        ? 'it is down, no LAN, a port of another interface, or its socket does not work'
        : 'there is no such interface';
      const fields = { event: 'interfaceMissing', protocol: 'layer2', interface: name, error };
      this.#options.say({ level: 'warn', msg: 'interface does not serve layer 2, though it should', fields });
    }
    this.#missing = missing;
  }

  /** Of what this node is the first to answer for: once, for as long as it holds. */
  #warnOfInterfaces(): void {
    const known = this.#known;
    if (known === undefined) return;
    const unserved = new Set<string>();
    for (const { service, ip, interfaces } of this.#plan?.layer2 ?? []) {
      if (interfaces.length === 0 || interfaces.some((name) => known.has(name))) continue;
      const key = `${service} ${ip}`;
      unserved.add(key);
      if (!this.#unserved.has(key)) this.#options.warn({ is: 'no-interface', service, ip });
    }
    this.#unserved = unserved;
  }

  #warnOfStranger({ ip, mac, claimed, gateway }: Extract<LinksReport, { report: 'l2-stranger' }>): void {
    for (const { ip: each, service } of this.#plan?.candidacies ?? [])
      if (each === ip) this.#options.warn({ is: 'stranger', service, ip, mac, claimed, gateway });
  }
}

/** Whether it is known, without a look at all of them, that no Service has other addresses and the same ones are announced. */
function sameAddresses(a: Plan, b: Plan): boolean {
  if (a.candidacies !== b.candidacies) return false;
  const keys = differences(a.services, b.services);
  if (keys === undefined) return false;
  for (const key of keys) {
    const [before, after] = [a.services.get(key)?.ips, b.services.get(key)?.ips];
    if (before?.length !== after?.length || before?.some((ip, at) => ip !== after?.[at])) return false;
  }
  return true;
}

/** The Event on the Service that a warning is about. */
export function eventOf(warning: Layer2Warning, node: string): { readonly reason: string; readonly message: string } {
  const { ip } = warning;
  if (warning.is === 'no-interface') {
    // MetalLB's text
    const where = `doesn't exist in assigned node "${node}" with protocol "layer2"`;
    return { reason: 'announceFailed', message: `the interfaces specified by LB IP "${ip}" ${where}` };
  }
  const outcome = warning.claimed
    ? 'it is answered for all the same'
    : 'it is not answered for; asked again every 10 s';
  const who = `${warning.mac}, which is no node of this cluster, answers for ${ip} on the LAN of node "${node}"`;
  const hint =
    '; it is the gateway, which may be a proxy: leave two addresses of the pool free, or set --l2-conflict=warn';
  const message = `${who}: ${outcome}${warning.gateway ? hint : ''}`;
  return { reason: 'AddressConflict', message };
}
