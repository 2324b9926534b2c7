// Two speakers with BFD beside their session, over a cable that is cut now and then: an hour for each seed. A path that fails
// ends BGP on both sides in time; nothing else does; and after the last cut all is as before.

import { describe, expect, it } from 'vitest';
import { demultiplex } from '../../src/bfd/demultiplex.ts';
import { dueAt, type SessionEvent, startSession, step } from '../../src/bfd/session.ts';
import type { Session, SessionParameters } from '../../src/bfd/variables.ts';
import type { PeerConfig, PeerReport } from '../../src/bgp/peer.ts';
import type { Ip } from '../../src/net/address.ts';
import { bfdSays } from '../../src/process/bfd.ts';
import { viewPeers } from '../../src/speaker.ts';
import { CONFIG } from '../fsm/stage.ts';
import { createChance } from './chance.ts';
import { type Cable, type Process, World } from './world.ts';

const HOUR_MS = 3_600_000;
/** Detection, the doubt of a young session, and a tick. */
const NOTICED_MS = 900 + 1_500 + 100;
const PARAMETERS: SessionParameters = {
  ...{ detectMult: 3, desiredMinTxMs: 300, requiredMinRxMs: 300, slowTxMs: 1_000 },
  ...{ passive: false, minTtl: 255, keys: [] },
};

interface End {
  readonly process: Process;
  readonly peer: Ip;
  session: Session;
  timer: number;
  /** Of BGP, as reported. */
  ups: number;
  readonly downs: { readonly at: number; readonly code: string }[];
  /** What BFD was when BGP came up. */
  readonly upWith: string[];
}

class Story {
  readonly world: World;
  readonly ends: readonly [End, End];
  readonly cable: Cable;

  /** `a` dials, `b` listens. */
  constructor(seed: number) {
    this.world = new World(createChance(seed));
    const [a, b] = ['192.0.2.10' as Ip, '192.0.2.1' as Ip];
    this.ends = [this.#end('a', a, b, 1), this.#end('b', b, a, 2)];
    this.cable = this.world.cable(this.ends[0].process, this.ends[1].process);
    this.world.onReport = (process, report) => this.#hear(process, report as PeerReport);
    const shared = { ...CONFIG, name: 'peer', bfd: true, families: ['ipv4'] } as const satisfies Partial<PeerConfig>;
    const dials: PeerConfig = { ...shared, address: b, localAs: 64_513, remoteAs: 64_512 };
    const waits: PeerConfig = { ...shared, address: a, localAs: 64_512, remoteAs: 64_513, passive: true };
    for (const [end, config, listen] of [
      [this.ends[0], dials, []],
      [this.ends[1], waits, [{ address: b, port: 179 }]],
    ] as const) {
      this.world.tell(end.process, { on: 'plan', plan: { peers: [config], routes: new Map() }, listen });
      this.#wake(end);
    }
  }

  #end(name: string, address: Ip, peer: Ip, discriminator: number): End {
    const process = this.world.addProcess(name, address, { name: 'eth0', ipv4: [address], ipv6: [] });
    const session = startSession('peer', discriminator, PARAMETERS, { now: 0, random: this.world.chance.next() });
    return { process, peer, session, timer: 0, ups: 0, downs: [], upWith: [] };
  }

  state(end: End): string {
    return viewPeers(end.process.state, false)[0]?.state ?? '';
  }

  give(end: End, event: SessionEvent): void {
    const { world } = this;
    const [session, effects] = step(end.session, event, { now: world.now, random: world.chance.next() });
    end.session = session;
    for (const effect of effects) {
      if ('report' in effect) {
        const says = bfdSays(effect);
        if (says !== undefined) world.tell(end.process, { on: 'bfd', peer: 'peer', says });
      } else this.#fly(end, effect.bytes);
    }
    this.#wake(end);
  }

  #fly(from: End, bytes: Uint8Array): void {
    if (this.cable.cutUntil > this.world.now) return;
    const to = this.ends[from === this.ends[0] ? 1 : 0];
    this.world.after(this.cable.delayMs, () => {
      const addressee = {
        localDiscriminator: to.session.localDiscriminator,
        path: { hops: 'single', remote: to.peer },
      } as const;
      const where = {
        hops: 'single',
        from: from.process.address,
        to: to.process.address,
        link: 'eth0',
        ttl: 255,
      } as const;
      const found = demultiplex({ ...where, bytes }, new Map([[addressee.localDiscriminator, addressee]]));
      if ('packet' in found) this.give(to, { on: 'packet', packet: found.packet, bytes, ttl: 255 });
    });
  }

  #wake(end: End): void {
    const version = ++end.timer;
    const at = dueAt(end.session);
    if (at === Number.POSITIVE_INFINITY) return;
    this.world.after(Math.max(0, at - this.world.now), () => {
      if (end.timer === version) this.give(end, { on: 'tick' });
    });
  }

  #hear(process: Process, report: PeerReport): void {
    const end = this.ends.find((each) => each.process === process);
    if (end === undefined) return;
    if (report.report === 'peer-up') {
      end.ups++;
      end.upWith.push(viewPeers(process.state, false)[0]?.bfd?.says ?? '');
    }
    if (report.report !== 'peer-down') return;
    const told = report.sent ?? report.received;
    end.downs.push({ at: this.world.now, code: told === undefined ? 'connection' : `${told.code}/${told.subcode}` });
  }
}

/** Cuts of 0.2 to 60 s, up to two minutes apart. */
function hourOf(seed: number): Story {
  const story = new Story(seed);
  const { world, cable, ends } = story;
  world.runUntil(5_000);
  while (world.now < HOUR_MS) {
    world.runUntil(world.now + world.chance.between(3_000, 120_000));
    const wasUp = ends.every((end) => story.state(end) === 'Established' && end.session.state === 'Up');
    const lastsMs = world.chance.pick([200, 500, 5_000, 20_000, 60_000]);
    const cutAt = world.now;
    cable.cutUntil = cutAt + lastsMs;
    world.runUntil(cutAt + lastsMs);
    if (!wasUp || lastsMs < NOTICED_MS) continue;
    for (const end of ends) {
      expect([seed, cutAt, story.state(end) === 'Established']).toEqual([seed, cutAt, false]);
      const down = end.downs.at(-1);
      expect(down?.at).toBeGreaterThanOrEqual(cutAt);
      expect(down?.at).toBeLessThanOrEqual(cutAt + NOTICED_MS);
    }
  }
  // the longest IdleHold, and the longest ConnectRetry
  world.runUntil(world.now + 180_000);
  return story;
}

describe('BGP with BFD over a cable that is cut', () => {
  for (let from = 1; from <= 40; from += 10) {
    it(`stories ${from} to ${from + 9}`, () => {
      for (let seed = from; seed < from + 10; seed++) {
        const story = hourOf(seed);
        for (const end of story.ends) {
          expect([seed, story.state(end), end.session.state]).toEqual([seed, 'Established', 'Up']);
          expect(end.ups).toBeGreaterThan(5);
          // strict on both sides: BGP never came up before BFD
          expect(new Set(end.upWith)).toEqual(new Set(['up']));
        }
      }
    });
  }

  it('nothing is cut, nothing goes down', () => {
    const story = new Story(1);
    story.world.runUntil(HOUR_MS);
    for (const end of story.ends) expect([end.ups, end.downs, end.session.counters.downEvents]).toEqual([1, [], 0]);
  });

  // two packets at most, for they are 225 ms apart or more
  it('a cut that is shorter than the detection time is none', () => {
    const story = new Story(2);
    for (let i = 1; i < 100; i++) {
      story.world.runUntil(i * 10_000);
      story.cable.cutUntil = story.world.now + 440;
    }
    for (const end of story.ends) expect([end.ups, end.downs]).toEqual([1, []]);
  });

  it('AdminDown on one side, and back: BGP stays on both', () => {
    const story = new Story(3);
    story.world.runUntil(10_000);
    story.give(story.ends[0], { on: 'disable' });
    story.world.runUntil(60_000);
    expect(story.ends.map((end) => end.session.state)).toEqual(['AdminDown', 'Down']);
    story.give(story.ends[0], { on: 'enable' });
    story.world.runUntil(120_000);
    for (const end of story.ends) expect([end.ups, end.downs, end.session.state]).toEqual([1, [], 'Up']);
  });

  it('without what BFD says, the same cut is not noticed in time', () => {
    const story = new Story(4);
    const deaf = story.world.tell.bind(story.world);
    story.world.tell = (process, event, ...rest) => (event.on === 'bfd' ? undefined : deaf(process, event, ...rest));
    story.world.runUntil(100_000);
    // strict: a speaker that never hears of BFD does not come up at all
    expect(story.ends.map((end) => story.state(end))).not.toContain('Established');
  });
});
