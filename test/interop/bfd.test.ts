// BFD with FRR's bfdd and BIRD: over one hop and several, in both families; what the router sees of us, and how soon both
// sides are rid of a path that is cut without a word.

import { afterEach, describe, expect, it } from 'vitest';
import { peerSpec, ROUTES, type Route, routerOf, startBirdOn, startFrrOn } from './bfd-paths.ts';
import { type Lab, node } from './lab.ts';
import { bfdProfile, bgpPeer, cluster } from './manifests.ts';
import { until } from './process.ts';
import { untilUp } from './router.ts';
import { type PeerState, type Speaker, startSpeaker } from './speaker.ts';
import { stories, useLab } from './stories.ts';

const PROFILE = { receiveInterval: 93, transmitInterval: 95, detectMultiplier: 4, minimumTtl: 253 };

function speakerOn(lab: Lab, route: Route, profile: object = PROFILE): Speaker {
  return startSpeaker(lab, 'n1', [...cluster(), bfdProfile('fast', profile), bgpPeer('tor', peerSpec(route))]);
}

/** The path is cut where no carrier is lost, and mended again. */
const cut = (lab: Lab) => lab.ip('sw', 'link set n1 nomaster');
const mend = (lab: Lab) => lab.ip('sw', 'link set n1 master br0');

/** Cuts the path of a session that has settled, and answers after how many ms BGP is down. */
async function failOver(lab: Lab, speaker: Speaker): Promise<number> {
  const isSettled = ({ state, since }: PeerState) => state === 'Established' && Date.now() - Date.parse(since) > 2_000;
  await until('the session has settled', async () => isSettled(await speaker.peer('tor')));
  const began = performance.now();
  cut(lab);
  await until('BGP is down', async () => (await speaker.peer('tor')).state !== 'Established', 3_000);
  return performance.now() - began;
}

stories('BFD with FRR', ['FRR'], () => {
  const lab = useLab(1);
  afterEach(() => mend(lab));

  describe.each(ROUTES)('$name', (route) => {
    it('comes up with the intervals of the profile, fails with the path, and comes back', async () => {
      const router = await startFrrOn(lab, route, {
        lines: ['transmit-interval 60', 'receive-interval 70', 'minimum-ttl 253'],
      });
      const speaker = speakerOn(lab, route);
      const us = node(1)[route.family];
      await untilUp(router, us);
      const bfd = await speaker.untilBfd('tor');
      const seen = await until('FRR sees our intervals', async () => {
        const peer = await router.bfdPeer(us);
        return peer.status === 'up' && peer['remote-transmit-interval'] === 95 && peer;
      });
      expect(seen).toMatchObject({
        ...{ multihop: route.hops === 'multi', 'remote-receive-interval': 93, 'remote-transmit-interval': 95 },
        ...{ 'remote-detect-multiplier': 4, 'remote-diagnostic': 'ok' },
      });
      expect(bfd.hops).toBe(route.hops);
      const settled = await until('we know its intervals', async () => {
        const { transmitIntervalMs, detectionTimeMs } = await speaker.bfd('tor');
        return transmitIntervalMs === 95 && detectionTimeMs !== null && detectionTimeMs < 1_000 && detectionTimeMs;
      });
      // RFC 5880 §6.8.4: its multiplier × the slower of 60 (its pace) and 93 (ours)
      expect(settled).toBe(3 * 93);
      // asked every 50 ms, of a process that shares two cores
      expect(await failOver(lab, speaker)).toBeLessThan(1_000);
      expect((await speaker.peer('tor')).lastError?.text).toContain('nothing was heard for the detection time');
      await until('FRR sees it too', async () => (await router.state(us)) !== 'Established', 3_000);
      mend(lab);
      await speaker.untilEstablished('tor', 15_000);
      await speaker.untilBfd('tor');
      expect((await speaker.bfd('tor')).counters).toMatchObject({ upEvents: 2, downEvents: 1 });
      expect(routerOf(route)).toBe((await speaker.peer('tor')).address);
    });
  });
});

stories('BFD with FRR, by the kind of session', ['FRR'], () => {
  const lab = useLab(1);

  it('iBGP with a router on no subnet of the node runs over several hops, as FRR has it', async () => {
    const route: Route = { name: '', hops: 'multi', family: 'ipv4' };
    const router = await startFrrOn(lab, route, { as: 64501 });
    const spec = peerSpec(route, { peerASN: 64501, ebgpMultiHop: false });
    const speaker = startSpeaker(lab, 'n1', [...cluster(), bfdProfile('fast'), bgpPeer('tor', spec)]);
    await untilUp(router, node(1).ipv4);
    expect((await speaker.untilBfd('tor')).hops).toBe('multi');
    expect((await router.bfdPeer(node(1).ipv4)).multihop).toBe(true);
  });

  it('iBGP with one on a subnet of the node runs over one', async () => {
    const route: Route = { name: '', hops: 'single', family: 'ipv4' };
    const router = await startFrrOn(lab, route, { as: 64501 });
    const spec = peerSpec(route, { peerASN: 64501 });
    const speaker = startSpeaker(lab, 'n1', [...cluster(), bfdProfile('fast'), bgpPeer('tor', spec)]);
    await untilUp(router, node(1).ipv4);
    expect((await speaker.untilBfd('tor')).hops).toBe('single');
  });
});

stories(
  'BFD in a VRF',
  ['FRR'],
  () => {
    const lab = useLab(1);

    it('comes up over a link of the VRF, and waits while the device is not there', async () => {
      const route: Route = { name: '', hops: 'single', family: 'ipv4' };
      const router = await startFrrOn(lab, route);
      const objects = [...cluster(), bfdProfile('fast'), bgpPeer('tor', peerSpec(route, { vrf: 'red' }))];
      const speaker = startSpeaker(lab, 'n1', objects);
      await until('it waits', async () => (await speaker.bfd('tor')).waiting === 'the VRF device is not there');
      lab.ip('n1', 'link add red type vrf table 10', 'link set red up', 'link set eth0 master red');
      await speaker.untilBfd('tor', 'Up', 20_000);
      await untilUp(router, node(1).ipv4);
      expect(await speaker.get('/metrics')).toContain(`metallb_bfd_session_up{peer="${routerOf(route)}",vrf="red"} 1`);
    });
  },
  ['vrf'],
);

stories('BFD with BIRD', ['BIRD'], () => {
  const lab = useLab(1);
  afterEach(() => mend(lab));

  describe.each(ROUTES)('$name', (route) => {
    it('comes up with the intervals of the profile, fails with the path, and comes back', async () => {
      const router = await startBirdOn(lab, route);
      // over several hops BIRD sends with the TTL of any packet: 64, and 63 behind one router
      const speaker = speakerOn(lab, route, { ...PROFILE, minimumTtl: 63 });
      const us = node(1)[route.family];
      await untilUp(router, us);
      await speaker.untilBfd('tor');
      // it sends every 100 ms at most, which is slower than our 93; and waits for 4 of our packets
      const seen = await until('BIRD sees our intervals', async () => {
        const peer = await router.bfdPeer(us);
        return peer.state === 'Up' && peer.interval === 0.1 && peer;
      });
      expect(seen.timeout).toBeCloseTo(0.4, 2);
      await until('we know its', async () => (await speaker.bfd('tor')).detectionTimeMs === 300);
      // asked every 50 ms, of a process that shares two cores
      expect(await failOver(lab, speaker)).toBeLessThan(1_000);
      await until('BIRD sees it too', async () => (await router.state(us)) !== 'Established', 3_000);
      mend(lab);
      await speaker.untilEstablished('tor', 15_000);
      await speaker.untilBfd('tor');
    });
  });
});
