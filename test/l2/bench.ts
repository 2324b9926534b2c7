// One responder on a clock of its own: what it sends is read back by the codec, which has oracles of its own. Called by the
// tests of this folder.

import * as arp from '../../src/l2/arp.ts';
import * as ndp from '../../src/l2/ndp.ts';
import {
  createResponder,
  dueAt,
  type InterfaceFacts,
  type Responder,
  type ResponderEffect,
  type ResponderEvent,
  type ResponderSettings,
  step,
} from '../../src/l2/responder.ts';
import type { Ip, Mac } from '../../src/net/address.ts';

export const MAC = '02:00:00:00:00:10' as Mac;
export const SECOND_MAC = '02:00:00:00:00:11' as Mac;
export const HOST_MAC = '02:00:00:00:00:0a' as Mac;
export const HOST = '192.0.2.1' as Ip;
export const HOST6 = '2001:db8::1' as Ip;
export const LINK_LOCAL = 'fe80::ff:fe00:10' as Ip;
export const VIP = '198.51.100.7' as Ip;
export const VIP6 = '2001:db8::a:b7' as Ip;
export const FACTS: InterfaceFacts = { mac: MAC, macs: [MAC, SECOND_MAC], arp: true, linkLocal: LINK_LOCAL };
export const SETTINGS: ResponderSettings = { framesPerSecond: 500, refreshMs: 60_000 };

export type Sent = { readonly at: number } & ({ readonly arp: arp.ArpFrame } | { readonly ndp: ndp.NdpMessage });

export class Bench {
  now = 1_000;
  responder: Responder;
  readonly sent: Sent[] = [];
  readonly effects: ResponderEffect[] = [];
  #random = 0.5;

  constructor(settings: Partial<ResponderSettings> = {}, facts: InterfaceFacts = FACTS) {
    this.responder = createResponder('eth0', facts, { ...SETTINGS, ...settings });
    this.give({ on: 'addresses', served: new Set([VIP, VIP6]), watched: new Set() });
  }

  give(event: ResponderEvent): readonly ResponderEffect[] {
    this.#random = (this.#random * 7.13 + 0.37) % 1;
    const [next, effects] = step(this.responder, event, { now: this.now, random: this.#random });
    this.responder = next;
    for (const effect of effects) {
      this.effects.push(effect);
      if (effect.do !== 'frame-send') continue;
      const read = arp.isArp(effect.bytes) ? arp.decode(effect.bytes) : ndp.decode(effect.bytes);
      if ('frame' in read) this.sent.push({ at: this.now, arp: read.frame });
      else if ('message' in read) this.sent.push({ at: this.now, ndp: read.message });
      else throw new Error(`sent what is dropped: ${read.drop}`);
    }
    return effects;
  }

  run(ms: number): this {
    const until = this.now + ms;
    for (let steps = 0; dueAt(this.responder) <= until; steps++) {
      if (steps > 100_000) throw new Error('it wants to be stepped without end');
      this.now = Math.max(this.now, dueAt(this.responder));
      this.give({ on: 'tick' });
    }
    this.now = until;
    return this;
  }

  own(...ips: readonly Ip[]): this {
    for (const ip of ips) {
      this.give({ on: 'answer', ip });
      this.give({ on: 'announce', ip });
    }
    return this;
  }

  frame(bytes: Uint8Array): readonly ResponderEffect[] {
    return this.give({ on: 'frame', bytes });
  }

  /** Forgets what was sent so far. */
  quiet(): this {
    this.run(10_000);
    this.sent.length = 0;
    this.effects.length = 0;
    return this;
  }

  get drops() {
    return this.responder.drops;
  }
}

export const request = (ip: Ip, to: Mac = arp.BROADCAST, sender: Ip = HOST) =>
  arp.encode({
    ...{ destination: to, source: HOST_MAC, operation: 'request', senderMac: HOST_MAC, senderIp: sender },
    ...{ targetMac: '00:00:00:00:00:00' as Mac, targetIp: ip },
  });
