// A LAN on which speakers own addresses: one clock, one seed. Its switch splits, loses one way, delays, answers ARP from its
// cache, learns MACs slowly; a gateway may be a proxy; nodes pause, die, restart, answer by their kernel (IPVS) or run
// MetalLB. BFD is modelled by its verdict: when a frame of it last came through. Statements go as they are, or as octets.

import type { OwnerEffect, OwnerEvent, OwnerReport } from '../../src/l2/event.ts';
import { dueAt, step } from '../../src/l2/owner.ts';
import { watches } from '../../src/l2/ring.ts';
import type { LinkFacts, Segment, Settings, Wanted } from '../../src/l2/segment.ts';
import { createSegment } from '../../src/l2/segment.ts';
import type { Statement, Station } from '../../src/l2/statement.ts';
import { stationOf } from '../../src/l2/statement.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import { familyOf } from '../../src/net/address.ts';
import { ranking } from '../../src/plan/elect.ts';
import { Agenda } from './agenda.ts';
import type { Chance } from './chance.ts';
import { Violation } from './world.ts';

export const BFD_INTERVAL_MS = 300;
export const GATEWAY: Ip = '192.0.2.254' as Ip;
export const GATEWAY6: Ip = 'fe80::fe' as Ip;
const HOST: Ip = '192.0.2.199' as Ip;
const HOST_MAC = '02:00:00:00:00:c7' as Mac;
const GATEWAY_MAC = '02:00:00:00:00:fe' as Mac;
export const CONTROLS: readonly Ip[] = ['192.0.2.201' as Ip, '192.0.2.202' as Ip];

/** What travels from one node to another. */
type Parcel =
  | { readonly is: 'statement'; readonly statement: Statement }
  | { readonly is: 'ask'; readonly ip: Ip; readonly from: Mac; readonly as?: Ip; readonly toAll: boolean }
  | { readonly is: 'frame'; readonly event: OwnerEvent & { readonly on: 'frame' } };

export interface NodeModel {
  readonly name: string;
  readonly at: number;
  readonly station: Station;
  readonly mac: Mac;
  readonly address: Ip;
  /** The machine has power; the speaker runs. */
  powered: boolean;
  running: boolean;
  segment: Segment;
  incarnations: number;
  pausedUntil: number;
  /** Read when the pause is over. */
  readonly inbox: Parcel[];
  carrier: boolean;
  portBlockedUntil: number;
  /** Which part of a split LAN it is on. */
  side: number;
  firewalled: boolean;
  ipvs: boolean;
  metallb: boolean;
  apiCut: boolean;
  serving: boolean;
  /** It sees that long after it was due, at most. */
  stallMs: number;
  learnedAt: number;
  startedAt: number;
  readonly answering: Set<Ip>;
}

interface Path {
  readonly from: NodeModel;
  readonly to: NodeModel;
  open: boolean;
  since: number;
  lastFrameAt: number;
}

export interface Report {
  readonly at: number;
  readonly node: string;
  readonly report: OwnerReport;
}

export type Sabotage = (node: NodeModel, event: OwnerEvent, world: LanWorld) => readonly OwnerEvent[];

export class LanWorld {
  now = 0;
  steps = 0;
  /** Of ARP and NDP: announcements and questions. */
  frames = 0;
  /** Questions to the gateway from an address that was taken. */
  confirmations = 0;
  announcements = 0;
  readonly agenda = new Agenda();
  readonly chance: Chance;
  readonly nodes: NodeModel[] = [];
  readonly vips: Ip[];
  readonly reports: Report[] = [];
  settings: Settings = { failbackMs: 120_000, conflict: 'refuse' };
  scores = new Map<string, number>();
  /** Of frames, everywhere. */
  loss = 0;
  extraDelayMs = 0;
  suppressArp = false;
  proxy = false;
  gateway: 'none' | 'up' | 'down' = 'none';
  /** By which addresses the nodes know it; and those by which it does not answer. */
  gateways: readonly Ip[] = [GATEWAY];
  gatewaySilent = new Set<Ip>();
  slowLearningMs = 0;
  /** Statements of a node whose cable is out reach the others. */
  otherPath = false;
  hasStatus = false;
  /** Addresses that nobody has. */
  controls: readonly Ip[] = CONTROLS;
  /** What the proxy has no route to, and so does not answer for. */
  unrouted = new Set<Ip>();
  /** How far apart the speakers start. */
  startWithinMs = 300;
  /** `a>b`: frames from a never reach b. */
  readonly cuts = new Set<string>();
  gatewayCut = new Set<string>();
  /** What the gateway says it holds for whoever asks, instead of the MAC that asked. */
  gatewayHolds: Mac | undefined;
  /** By the node that they lead to. */
  readonly paths: Path[][] = [];
  /** What a suppressing switch answers with. */
  readonly arpCache = new Map<Ip, Mac>();
  strangers = new Map<Ip, Mac>();
  sabotage: Sabotage = (_, event) => [event];
  carry: (statement: Statement) => readonly Statement[] = (statement) => [statement];
  onChange: () => void = () => {};
  onReport: (report: Report) => void = () => {};
  lastFaultAt = 0;
  /** What the API says. */
  candidatesOf: (ip: Ip) => readonly string[] = () => this.nodes.map(({ name }) => name);
  starts = 0;
  revision = 0;

  constructor(chance: Chance, nodes: number, vips: number) {
    this.chance = chance;
    this.vips = Array.from({ length: vips }, (_, i) => `198.51.${100 + (i >> 8)}.${i & 255}` as Ip);
    this.after(chance.next() * 500, () => this.#hostSpeaks());
    for (let at = 0; at < nodes; at++) this.nodes.push(this.#createNode(at));
    for (const to of this.nodes) {
      const others = this.nodes.filter((from) => from !== to);
      this.paths.push(
        others.map((from) => ({ from, to, open: false, since: 0, lastFrameAt: Number.NEGATIVE_INFINITY })),
      );
    }
  }

  #createNode(at: number): NodeModel {
    const name = `node-${String.fromCharCode(97 + at)}`;
    return {
      ...{ name, at, station: stationOf(name, 'eth0'), mac: `02:00:00:00:00:${(at + 16).toString(16)}` as Mac },
      ...{ address: `192.0.2.${at + 1}` as Ip, powered: true, running: false, incarnations: 0, pausedUntil: 0 },
      segment: createSegment(name, 'eth0', 0, this.settings),
      ...{ inbox: [], carrier: true, portBlockedUntil: 0, side: 0, firewalled: false, ipvs: false, metallb: false },
      ...{ apiCut: false, serving: true, stallMs: 0, learnedAt: 0, startedAt: 0, answering: new Set() },
    };
  }

  /** Somebody else on the LAN: asks for something twice a second, and is what a speaker knows an open port by. */
  #hostSpeaks(): void {
    for (const node of this.nodes) {
      if (node.segment.receives || !node.carrier || node.portBlockedUntil > this.now) continue;
      this.give(node, { on: 'frame', mac: HOST_MAC, kind: 'request', ip: HOST });
    }
    this.after(500, () => this.#hostSpeaks());
  }

  after(ms: number, run: () => void): void {
    this.agenda.add(this.now + ms, run);
  }

  fault(): void {
    this.lastFaultAt = this.now;
    this.refreshPaths();
    this.onChange();
  }

  // ---- what the cluster says

  wantedOf(candidatesOf = this.candidatesOf): Wanted[] {
    const running = this.nodes.filter(({ metallb, running: up, powered }) => metallb && up && powered);
    return this.vips.map((ip) => {
      const candidates = candidatesOf(ip).map((node) => ({ node, score: this.scores.get(node) ?? 0 }));
      const foreign = running.some(({ name }) => candidates.some(({ node }) => node === name));
      return {
        ip,
        candidates: ranking(ip, candidates),
        foreign,
        established: this.hasStatus || this.now > 5_000,
        controls: this.controls,
      };
    });
  }

  /** The API tells every node that it reaches. */
  publish(candidatesOf = this.candidatesOf): void {
    this.candidatesOf = candidatesOf;
    const addresses = this.wantedOf();
    const revision = ++this.revision;
    for (const node of this.nodes) {
      if (node.metallb || !node.running || node.apiCut) continue;
      this.after(this.chance.next() * 50, () => {
        // a later word may have come first
        if (revision === this.revision) this.give(node, { on: 'wanted', addresses });
      });
    }
  }

  // ---- nodes

  start(node: NodeModel, addresses: readonly Wanted[] = this.wantedOf()): void {
    node.running = true;
    node.powered = true;
    node.startedAt = this.now;
    node.pausedUntil = 0;
    node.inbox.length = 0;
    node.answering.clear();
    node.incarnations++;
    // never twice the same, though a clock may be set back
    const incarnation = node.incarnations * 100_000 + ++this.starts;
    node.segment = createSegment(node.name, 'eth0', incarnation, this.settings);
    this.fault();
    if (node.metallb) return;
    this.give(node, { on: 'link', facts: this.facts(node) });
    this.give(node, { on: 'wanted', addresses });
    this.give(node, { on: 'serving', ready: node.serving });
  }

  facts(node: NodeModel): LinkFacts {
    const nodes = new Map(this.nodes.map(({ name, address }) => [name, address]));
    return {
      carrier: node.carrier,
      frames: true,
      links: ['eth0'],
      macs: [node.mac],
      address: node.address,
      nodes,
      gateways: this.gateway === 'none' ? [] : this.gateways,
    };
  }

  /** kill -9 of the speaker; `power`: of the machine. */
  kill(node: NodeModel, how: 'speaker' | 'power'): void {
    node.running = false;
    if (how === 'power') {
      node.powered = false;
      node.learnedAt = Number.POSITIVE_INFINITY;
    }
    node.answering.clear();
    this.fault();
  }

  pause(node: NodeModel, ms: number): void {
    node.pausedUntil = Math.max(node.pausedUntil, this.now + ms);
    this.fault();
    this.agenda.add(node.pausedUntil, () => this.#resume(node));
  }

  #resume(node: NodeModel): void {
    if (this.now < node.pausedUntil) return;
    this.fault();
    // what main and the kernel had to say meanwhile
    this.give(node, { on: 'link', facts: this.facts(node) });
    if (!node.apiCut && !node.metallb) this.give(node, { on: 'wanted', addresses: this.wantedOf() });
    this.give(node, { on: 'serving', ready: node.serving });
    for (const parcel of node.inbox.splice(0)) this.#receive(node, parcel);
  }

  setCarrier(node: NodeModel, carrier: boolean): void {
    node.carrier = carrier;
    node.learnedAt = carrier ? this.now + this.slowLearningMs : Number.POSITIVE_INFINITY;
    this.fault();
    if (this.isAwake(node)) this.give(node, { on: 'link', facts: this.facts(node) });
  }

  isAwake(node: NodeModel): boolean {
    return node.running && node.powered && node.pausedUntil <= this.now;
  }

  /** It runs, and frames come and go. */
  isOpen(node: NodeModel): boolean {
    return this.isAwake(node) && node.carrier && node.portBlockedUntil <= this.now;
  }

  /** What a client that asks now would be answered by: speakers, and MetalLB's. */
  answerers(ip: Ip, side: number): readonly NodeModel[] {
    const foreign = this.metallbOwner(ip);
    return this.nodes.filter(
      (node) => node.side === side && this.isOpen(node) && (node === foreign || node.answering.has(ip)),
    );
  }

  metallbOwner(ip: Ip): NodeModel | undefined {
    if (!this.nodes.some(({ metallb }) => metallb)) return undefined;
    const candidates = this.candidatesOf(ip);
    const theirs = this.nodes.filter(
      ({ name, metallb, running, powered }) => metallb && running && powered && candidates.includes(name),
    );
    const [first] = ranking(
      ip,
      theirs.map(({ name }) => ({ node: name, score: this.scores.get(name) ?? 0 })),
    );
    return theirs.find(({ name }) => name === first?.node);
  }

  give(node: NodeModel, event: OwnerEvent): void {
    for (const each of this.sabotage(node, event, this)) this.#step(node, each);
  }

  #step(node: NodeModel, event: OwnerEvent): void {
    if (!this.isAwake(node) || node.metallb) return;
    this.steps++;
    const [segment, effects] = step(node.segment, event, { now: this.now, random: this.chance.next() });
    node.segment = segment;
    let changed = false;
    for (const effect of effects) {
      if ('report' in effect) {
        const report = { at: this.now, node: node.name, report: effect };
        this.reports.push(report);
        this.onReport(report);
        if (effect.report === 'left') this.kill(node, 'speaker');
      } else if (effect.do === 'answer' || effect.do === 'silence') {
        if (effect.do === 'answer') node.answering.add(effect.ip);
        else node.answering.delete(effect.ip);
        changed = true;
      } else this.#carryOut(node, effect);
    }
    if (changed) this.onChange();
  }

  #carryOut(node: NodeModel, effect: Extract<OwnerEffect, { readonly do: 'tell' | 'announce' | 'ask' }>): void {
    switch (effect.do) {
      case 'tell':
        if (node.firewalled) return;
        for (const statement of this.carry(effect.statement)) {
          for (const to of this.nodes) {
            if (to === node || to.metallb || to.firewalled) continue;
            if (effect.to !== undefined && effect.to !== to.station) continue;
            if (statement.here) this.#send(node, to, { is: 'statement', statement });
            else if (this.otherPath) this.after(this.#delay(), () => this.#arrive(to, { is: 'statement', statement }));
          }
        }
        break;
      case 'announce':
        this.frames++;
        this.announcements++;
        this.arpCache.set(effect.ip, node.mac);
        this.broadcast(node, { on: 'frame', ip: effect.ip, mac: node.mac, kind: 'announcement' });
        break;
      case 'ask':
        this.frames++;
        if (effect.as !== undefined) this.confirmations++;
        this.#ask(node, effect.ip, effect.mac, effect.as);
        break;
      default:
    }
  }

  broadcast(node: NodeModel, event: OwnerEvent & { readonly on: 'frame' }): void {
    for (const to of this.nodes) if (to !== node) this.#send(node, to, { is: 'frame', event });
  }

  #ask(node: NodeModel, ip: Ip, mac: Mac | undefined, as: Ip | undefined): void {
    const toAll = mac === undefined && as === undefined;
    const ask: Parcel = { is: 'ask', ip, from: node.mac, ...(as !== undefined && { as }), toAll };
    if (mac !== undefined && mac !== GATEWAY_MAC) {
      const to = this.nodes.find((each) => each.mac === mac);
      if (to !== undefined && to.learnedAt <= this.now) this.#send(node, to, ask);
      return;
    }
    this.#gatewayAnswers(node, ip, mac, as);
    if (mac !== undefined) return;
    const cached = this.arpCache.get(ip);
    if (this.suppressArp && cached !== undefined) {
      if (cached !== node.mac) this.#answer(node, { on: 'frame', ip, mac: cached, kind: 'answer' });
      return;
    }
    for (const to of this.nodes) if (to !== node) this.#send(node, to, ask);
    const stranger = this.strangers.get(ip);
    if (stranger !== undefined) this.#answer(node, { on: 'frame', ip, mac: stranger, kind: 'answer' });
  }

  #gatewayAnswers(node: NodeModel, ip: Ip, mac: Mac | undefined, as: Ip | undefined): void {
    if (this.gateway !== 'up' || this.gatewayCut.has(node.name)) return;
    const hosts = this.nodes.some(({ address }) => address === ip);
    if (this.gatewaySilent.has(ip)) return;
    if (!this.gateways.includes(ip) && (!this.proxy || hosts || this.unrouted.has(ip) || mac !== undefined)) return;
    // an advertisement names no MAC: it goes to the one that is held (RFC 4861 §7.2.4)
    if (as !== undefined && familyOf(ip) === 'ipv6' && this.gatewayHolds !== undefined) return;
    const target = as === undefined ? {} : { target: { ip: as, mac: this.gatewayHolds ?? node.mac } };
    this.#answer(node, { on: 'frame', ip, mac: GATEWAY_MAC, kind: 'answer', ...target });
  }

  #answer(to: NodeModel, event: OwnerEvent & { readonly on: 'frame' }): void {
    if (!to.carrier || to.portBlockedUntil > this.now) return;
    this.after(this.#delay(), () => this.#arrive(to, { is: 'frame', event }));
  }

  // ---- wires

  #delay(): number {
    return 0.2 + this.chance.next() * 0.8 + this.extraDelayMs * this.chance.next();
  }

  /** Whether a frame that leaves one now can reach the other at all. */
  reaches(from: NodeModel, to: NodeModel): boolean {
    return (
      from.powered &&
      to.powered &&
      from.carrier &&
      to.carrier &&
      from.side === to.side &&
      from.portBlockedUntil <= this.now &&
      to.portBlockedUntil <= this.now &&
      !this.cuts.has(`${from.name}>${to.name}`)
    );
  }

  #send(from: NodeModel, to: NodeModel, parcel: Parcel): void {
    if (!this.reaches(from, to) || (this.loss > 0 && this.chance.happens(this.loss))) return;
    this.after(this.#delay(), () => this.#arrive(to, parcel));
  }

  #arrive(to: NodeModel, parcel: Parcel): void {
    if (!to.powered) return;
    // the kernel answers for the machine's own address, and with IPVS for every VIP
    if (parcel.is === 'ask' && (parcel.ip === to.address || (to.ipvs && this.vips.includes(parcel.ip)))) {
      this.#reply(to, parcel.ip, parcel.from);
    }
    if (!to.running) return;
    if (to.pausedUntil > this.now) to.inbox.push(parcel);
    else this.#receive(to, parcel);
  }

  #receive(to: NodeModel, parcel: Parcel): void {
    if (parcel.is === 'statement') this.give(to, { on: 'told', statement: parcel.statement });
    else if (parcel.is === 'frame') this.give(to, parcel.event);
    else {
      this.give(to, { on: 'frame', mac: parcel.from, kind: 'probe', ...(parcel.toAll && { probed: parcel.ip }) });
      if (to.answering.has(parcel.ip) || this.metallbOwner(parcel.ip) === to) this.#reply(to, parcel.ip, parcel.from);
    }
  }

  #reply(from: NodeModel, ip: Ip, mac: Mac): void {
    const to = this.nodes.find((node) => node.mac === mac);
    if (to !== undefined)
      this.#send(from, to, { is: 'frame', event: { on: 'frame', ip, mac: from.mac, kind: 'answer' } });
  }

  // ---- BFD's verdict

  /** To be called whenever something that BFD frames depend on has changed. */
  refreshPaths(): void {
    for (const path of this.paths.flat()) {
      const { from, to } = path;
      const open = this.isAwake(from) && this.reaches(from, to) && !from.firewalled && !to.firewalled && !from.metallb;
      if (path.open === open) continue;
      if (!open) this.#sample(path);
      path.open = open;
      path.since = this.now;
      // the first frame of one that was not heard is believed at once
      if (open) this.after(this.chance.next() * BFD_INTERVAL_MS, () => this.#tick(to));
    }
  }

  /** Frames leave every 225 to 300 ms; some are lost. */
  #sample(path: Path): void {
    let age = this.chance.next() * BFD_INTERVAL_MS;
    while (this.loss > 0 && this.chance.happens(this.loss)) age += BFD_INTERVAL_MS * (0.75 + this.chance.next() / 4);
    const at = this.now - age - this.extraDelayMs * this.chance.next();
    if (at >= path.since) path.lastFrameAt = Math.max(path.lastFrameAt, at);
  }

  heard(node: NodeModel): ReadonlyMap<Station, number> {
    const heard = new Map<Station, number>();
    for (const path of this.paths[node.at] ?? []) {
      if (!watches(node.segment, node.station, path.from.station)) continue;
      if (path.open) this.#sample(path);
      // a new session of a new process: nothing was heard before it came
      if (path.lastFrameAt > node.startedAt) heard.set(path.from.station, path.lastFrameAt);
    }
    return heard;
  }

  // ---- time

  #tick(node: NodeModel): void {
    if (this.isAwake(node)) this.give(node, { on: 'tick', heard: this.heard(node) });
  }

  runUntil(until: number): void {
    const stepsBefore = this.steps;
    const began = this.now;
    for (;;) {
      // a machine that wants to be stepped without end
      if (this.steps - stepsBefore > 100_000 + (this.now - began) * this.nodes.length ** 2) {
        throw new Violation(`too many steps until ${this.now}`);
      }
      let due = until;
      let next: NodeModel | undefined;
      for (const node of this.nodes) {
        if (!node.running || !node.powered || node.metallb) continue;
        const at = Math.max(dueAt(node.segment) + node.stallMs, node.pausedUntil);
        if (at < due) [due, next] = [at, node];
      }
      const entry = this.agenda.take(due);
      if (entry !== undefined) {
        this.now = Math.max(this.now, entry.at);
        entry.run();
      } else if (next !== undefined) {
        this.now = Math.max(this.now, due);
        const before = dueAt(next.segment);
        this.give(next, { on: 'tick', heard: this.heard(next) });
        if (next.stallMs > 0) next.stallMs = this.chance.happens(0.1) ? this.chance.next() * 200 : 0.01;
        if (dueAt(next.segment) <= before) throw new Violation(`${next.name} wants the same tick again at ${this.now}`);
      } else break;
    }
    this.now = until;
  }
}
