// BFD over a bad wire: what is lost, late, out of order or doubled takes no session down that its multiplier allows for.

import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { WireFaults } from './bad-wire.ts';
import { peerSpec, type Route, startBirdOn, startFrrOn } from './bfd-paths.ts';
import { favour, unfavour } from './favour.ts';
import { node } from './lab.ts';
import { bfdProfile, bgpPeer, cluster, passwordSecret } from './manifests.ts';
import { throughout, until } from './process.ts';
import { untilUp } from './router.ts';
import { type Speaker, startSpeaker } from './speaker.ts';
import { stories, useLab } from './stories.ts';

const ROUTE: Route = { name: '', hops: 'single', family: 'ipv4' };
const US = node(1).ipv4;
const WATCHED_MS = 8_000;
const HUNDRED = ['interval 100 ms; multiplier 3;'];

stories('BFD over a bad wire', ['FRR', 'BIRD'], () => {
  const lab = useLab(1);
  // 50 ms × 3 is promised to a process that gets its processor time
  beforeAll(favour);
  afterAll(unfavour);
  // the node's port of the switch leads through two TAP interfaces and the program between them
  beforeEach(() =>
    lab.ip(
      'sw',
      ...['tuntap add mode tap name near', 'tuntap add mode tap name far', 'link add br1 type bridge mcast_snooping 0'],
      ...['link set br1 up', 'link set near master br1 up', 'link set far master br0 up', 'link set n1 master br1'],
    ),
  );
  afterEach(() => lab.ip('sw', 'link set n1 master br0', ...['near', 'far', 'br1'].map((name) => `link del ${name}`)));

  async function wire(faults: WireFaults): Promise<void> {
    const program = `${import.meta.dirname}/bad-wire.ts`;
    const daemon = lab.spawn('bad-wire', 'sw', [process.execPath, program, 'near', 'far', JSON.stringify(faults)]);
    await until('the wire carries', () => daemon.log().includes('carrying'));
  }

  /** Up once, and never down while it is watched, both as we and as BGP see it. */
  async function staysUp(speaker: Speaker): Promise<void> {
    await speaker.untilBfd('tor', 'Up', 20_000);
    await throughout('BFD is up', WATCHED_MS, async () => (await speaker.bfd('tor')).state === 'Up');
    const { state, bfd } = await speaker.peer('tor');
    expect([state, bfd?.counters?.upEvents, bfd?.counters?.downEvents]).toEqual(['Established', 1, 0]);
  }

  function speakerWith(profile: object, ...more: Parameters<typeof startSpeaker>[2]): Speaker {
    const objects = [...cluster(), bfdProfile('fast', profile), bgpPeer('tor', peerSpec(ROUTE)), ...more];
    return startSpeaker(lab, 'n1', objects);
  }

  it('a third of the packets is lost, and the multiplier is 10', async () => {
    await wire({ lost: 0.3 });
    // 10 of 10 are lost once in 170,000
    const lines = ['transmit-interval 50', 'receive-interval 50', 'detect-multiplier 10'];
    const router = await startFrrOn(lab, ROUTE, { lines });
    const speaker = speakerWith({ receiveInterval: 50, transmitInterval: 50, detectMultiplier: 10 });
    await untilUp(router, US);
    await staysUp(speaker);
    const { 'control-packet-output': sent = 0 } = await router.bfdCounters(US);
    expect((await speaker.bfd('tor')).counters?.received).toBeLessThan(0.85 * sent);
  });

  it('all are late by 200 ms, more than the detection time', async () => {
    await wire({ delayMs: 200 });
    const router = await startFrrOn(lab, ROUTE, { lines: ['transmit-interval 50', 'receive-interval 50'] });
    const speaker = speakerWith({ receiveInterval: 50, transmitInterval: 50 });
    await untilUp(router, US);
    await until('150 ms', async () => (await speaker.bfd('tor')).detectionTimeMs === 150);
    await staysUp(speaker);
  });

  it('a third is overtaken, and half of them come twice', async () => {
    await wire({ overtaken: 0.3, delayMs: 150, doubled: 0.5 });
    const router = await startBirdOn(lab, ROUTE, { lines: HUNDRED });
    const speaker = speakerWith({ receiveInterval: 100, transmitInterval: 100 });
    await untilUp(router, US);
    await staysUp(speaker);
  });

  it('so with meticulous authentication: what comes again or late is not believed, and counted', async () => {
    await wire({ overtaken: 0.2, delayMs: 150, doubled: 0.5 });
    const key = ['authentication meticulous keyed sha1; password "geheim" { id 7; };'];
    const router = await startBirdOn(lab, ROUTE, { lines: ['interval 100 ms; multiplier 5;', ...key] });
    const authentication = { type: 'meticulous-keyed-sha1', keyID: 7, secretRef: { name: 'bfd-key' } };
    const profile = { receiveInterval: 100, transmitInterval: 100, detectMultiplier: 5, authentication };
    const speaker = speakerWith(profile, passwordSecret('bfd-key', 'geheim'));
    await untilUp(router, US);
    await staysUp(speaker);
    expect((await speaker.bfd('tor')).counters?.drops['auth-sequence']).toBeGreaterThan(10);
  });
});
