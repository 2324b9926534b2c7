// What can be seen of a segment: each state of an address, on a simulated LAN, and that it is plain data.

import { describe, expect, it } from 'vitest';
import { createResponder, step } from '../../src/l2/responder.ts';
import { viewResponder, viewSegment } from '../../src/l2/view.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import { othersOf, ownerOf, runFor, settle } from '../sim/l2-stories.ts';

const isPlain = (value: unknown) => expect(JSON.parse(JSON.stringify(structuredClone(value)))).toEqual(value);

describe('a segment', () => {
  it('shows who owns what, whom it hears, and what holds an address', () => {
    const telling = settle(1, 3, 1, ({ world }) => {
      world.gateway = 'up';
    });
    const { world } = telling;
    const owner = ownerOf(telling);
    const [other] = othersOf(telling, owner);
    if (other === undefined) throw new Error('nobody');
    const own = viewSegment(owner.segment, world.now);
    expect(own.addresses).toMatchObject([{ state: 'owner', epoch: 1, confirmation: 'confirmed', moves: 0 }]);
    expect(own).toMatchObject({ link: 'eth0', carrier: true, receives: true, ready: true, gatewayOk: true });
    expect(own.gateways).toEqual([{ ip: '192.0.2.254', mac: '02:00:00:00:00:fe', confirms: true }]);
    expect(own.members.map(({ heard, claims }) => [heard, claims])).toEqual([
      [true, 0],
      [true, 0],
    ]);
    isPlain(own);
    const seen = () => viewSegment(other.segment, world.now).addresses[0];
    expect(seen()).toMatchObject({ state: 'held', owner: owner.name, heldBy: 'claim' });

    owner.firewalled = true;
    world.fault();
    runFor(telling, 3_000);
    expect(seen()).toMatchObject({ state: 'held', heldBy: 'silence-unproven' });
    const member = viewSegment(other.segment, world.now).members.find(({ node }) => node === owner.name);
    expect(member).toMatchObject({ heard: false, stillAnswers: true, claims: 1 });
    isPlain(viewSegment(other.segment, world.now));
  });

  it('shows what was left to MetalLB, what a stranger has, and what is none of our business', () => {
    const telling = settle(2, 3, 1, undefined);
    const { world } = telling;
    const owner = ownerOf(telling);
    const state = () => viewSegment(owner.segment, world.now).addresses.map((each) => each.state);
    const [wanted] = world.wantedOf();
    if (wanted === undefined) throw new Error('nothing is wanted');
    world.give(owner, { on: 'wanted', addresses: [{ ...wanted, foreign: true }] });
    expect(state()).toEqual(['foreign']);
    const stranger = '198.51.100.99' as Ip;
    const mac = '66:66:66:00:00:01' as Mac;
    world.strangers.set(stranger, mac);
    const fresh = { ...wanted, ip: stranger, established: false, candidates: [{ node: owner.name, score: 0 }] };
    world.give(owner, { on: 'wanted', addresses: [fresh] });
    expect(state()).toEqual(['vacant']);
    runFor(telling, 2_000);
    expect(viewSegment(owner.segment, world.now).addresses[0]?.takenBy).toEqual({ mac, by: 'stranger' });
    world.give(owner, { on: 'wanted', addresses: [{ ...fresh, candidates: [] }] });
    expect(state()).toEqual(['not-candidate']);
  });

  it('shows a claim that is silent after a pause', () => {
    const stories = new Set<string>();
    for (let seed = 1; seed <= 30; seed++) {
      const telling = settle(seed, 3, 1, undefined);
      const { world } = telling;
      const owner = ownerOf(telling);
      const state = () => viewSegment(owner.segment, world.now).addresses[0]?.state;
      // longer than a turn may be late; whether it is taken for dead hangs on when it was heard last
      world.pause(owner, 750);
      runFor(telling, 770);
      const meanwhile = state();
      runFor(telling, 500);
      stories.add(`${meanwhile}, then ${state()}`);
    }
    expect(stories).toContain('suspended, then owner');
  });
});

describe('a responder', () => {
  it('shows what it answers for, what waits, and its counters', () => {
    const ip = '198.51.100.1' as Ip;
    const mac = '02:00:00:00:00:10' as Mac;
    const settings = { framesPerSecond: 500, refreshMs: 60_000 };
    const responder = createResponder('eth0', { mac, macs: [mac], arp: true }, settings);
    const tick = { now: 0, random: 0.5 };
    for (const on of ['answer', 'announce'] as const) step(responder, { on, ip }, tick);
    expect(viewResponder(responder)).toMatchObject({ answers: [ip], queued: 2, askers: 0, drops: {} });
    step(responder, { on: 'tick' }, tick);
    const view = viewResponder(responder);
    expect(view.counters).toEqual({ [ip]: { requests: 0, responses: 0, gratuitous: 2 } });
    isPlain(view);
  });
});
