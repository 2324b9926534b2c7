// The client of layer-2 stories: asks again and again who has each address, by ARP or Neighbor Solicitation, and remembers
// which MACs answered when. A packet thread of its own in the client's network namespace, so that neither a busy test nor
// the speakers under test disturb its pace.

import koffi from 'koffi';
import type { ThreadEvent } from '../../src/io/packet/loop.ts';
import { runPacketThread } from '../../src/io/packet/worker.ts';
import * as arp from '../../src/l2/arp.ts';
import * as ndp from '../../src/l2/ndp.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import { familyOf } from '../../src/net/address.ts';
import { OFF, type Step, type Tick } from '../../src/net/machine.ts';
import type { PacketEffect } from '../../src/net/packet-io.ts';
import { enterNamespace } from '../io/packet-probe.ts';

export interface SamplerWanted {
  readonly link: string;
  readonly mac: Mac;
  /** The client's own addresses. */
  readonly from: { readonly ipv4: Ip; readonly ipv6: Ip };
  readonly vips: readonly Ip[];
  readonly everyMs: number;
  /** So many addresses a round, one after the other; all: a question for each in each round. */
  readonly perRound: number;
}

/** Instants of questions, and of answers with who gave them, by address; on main's clock. */
export interface Samples {
  readonly asked: ReadonlyMap<Ip, readonly number[]>;
  readonly answered: ReadonlyMap<Ip, readonly (readonly [at: number, mac: Mac])[]>;
  /** Gratuitous ones and unsolicited advertisements. */
  readonly announced: number;
}

interface State {
  wanted: SamplerWanted | undefined;
  dueAt: number;
  next: number;
  asked: Map<Ip, number[]>;
  answered: Map<Ip, [number, Mac][]>;
  announced: number;
}

export type SamplerReport = { readonly report: 'ready' } | { readonly report: 'left' };
type Effect = PacketEffect | SamplerReport;

/** Called by an entry that names the namespace. */
export function sample(namespace: string): void {
  enterNamespace(namespace);
  goFirst();
  runPacketThread<State, SamplerWanted, SamplerReport, Samples>({
    create: () => ({
      ...{ wanted: undefined, dueAt: OFF, next: 0, announced: 0 },
      asked: new Map(),
      answered: new Map(),
    }),
    step,
    dueAt: ({ dueAt }) => dueAt,
    view: ({ asked, answered, announced }) => ({ asked, answered, announced }),
  });
}

function step(state: State, event: ThreadEvent<SamplerWanted> | { on: 'tick' }, { now }: Tick): Step<State, Effect> {
  switch (event.on) {
    case 'wanted': {
      const isNew = state.wanted === undefined;
      Object.assign(state, { wanted: event.wanted, next: 0, announced: 0, asked: new Map(), answered: new Map() });
      state.dueAt = now;
      return [state, isNew ? [{ do: 'frames-open', link: event.wanted.link }] : []];
    }
    case 'socket':
      return [state, event.error === undefined ? [{ report: 'ready' }] : []];
    case 'tick':
      return [state, ask(state, now)];
    case 'frame':
      hear(state, event.bytes, now);
      return [state, []];
    case 'leave':
      return [state, [{ report: 'left' }]];
    default:
      return [state, []];
  }
}

function ask(state: State, now: number): readonly Effect[] {
  const { wanted } = state;
  if (wanted === undefined) return [];
  const { link, mac, from, vips, everyMs, perRound } = wanted;
  state.dueAt += everyMs;
  const effects: Effect[] = [];
  for (let i = 0; i < Math.min(perRound, vips.length); i++) {
    const ip = vips[state.next++ % vips.length];
    if (ip === undefined) break;
    const bytes =
      familyOf(ip) === 'ipv4' ? arp.question(mac, ip, undefined, from.ipv4) : ndp.question(mac, ip, from.ipv6);
    push(state.asked, ip, now);
    effects.push({ do: 'frame-send', link, bytes });
  }
  return effects;
}

function hear(state: State, bytes: Uint8Array, now: number): void {
  const answer = arp.isArp(bytes) ? arpAnswer(bytes) : ndpAnswer(bytes);
  if (answer === undefined) return;
  if (!answer.toUs) state.announced++;
  else push(state.answered, answer.ip, [now, answer.mac]);
}

function push<T>(lists: Map<Ip, T[]>, ip: Ip, item: T): void {
  const list = lists.get(ip);
  if (list === undefined) lists.set(ip, [item]);
  else list.push(item);
}

interface Answer {
  readonly ip: Ip;
  readonly mac: Mac;
  readonly toUs: boolean;
}

function arpAnswer(bytes: Uint8Array): Answer | undefined {
  const decoded = arp.decode(bytes);
  if ('drop' in decoded) return undefined;
  const { operation, senderIp: ip, senderMac: mac, targetIp } = decoded.frame;
  if (ip === targetIp) return { ip, mac, toUs: false };
  return operation === 'reply' ? { ip, mac, toUs: true } : undefined;
}

function ndpAnswer(bytes: Uint8Array): Answer | undefined {
  const decoded = ndp.decode(bytes);
  if ('drop' in decoded || decoded.message.is !== 'advertisement') return undefined;
  const { target: ip, targetLink: mac, solicited } = decoded.message;
  return mac && { ip, mac, toUs: solicited };
}

/** Before all that this machine has to do besides: a client with a processor of its own. For this thread alone. */
function goFirst(): void {
  koffi.load(null).func('int setpriority(int, int, int)')(0, 0, -15);
}
