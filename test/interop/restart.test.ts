// Ends and new beginnings: either side stops, is killed or hangs; leaving politely and leaving for a restart.

import { describe, expect, it } from 'vitest';
import { ROUTERS } from './every-router.ts';
import { startFrr } from './frr.ts';
import { gateways, type Lab, node, ROUTER } from './lab.ts';
import { bgpPeer, cluster, ROUTE } from './manifests.ts';
import { type Daemon, throughout, until } from './process.ts';
import { untilGone, untilPaths, untilUp } from './router.ts';
import { startSpeaker } from './speaker.ts';
import { stories, useLab } from './stories.ts';
import { capture } from './wire.ts';

const external = { myASN: 64501, peerASN: 64512, peerAddress: ROUTER.ipv4 };
const FROM_NODE = { address: node(1).ipv4, as: 64501, families: ['ipv4'] } as const;
const HELPED = { ...FROM_NODE, gracefulRestart: true } as const;
const GRACEFUL = bgpPeer('tor', { ...external, enableGracefulRestart: true });

/** Every change of the routes in the router's kernel, as it happens. */
function watchKernel(lab: Lab): Daemon {
  return lab.spawn('ip-monitor', 'r', ['ip', 'monitor', 'route']);
}

for (const { kind, start } of ROUTERS) {
  stories(`restarts with ${kind}`, [kind, 'tcpdump'], () => {
    const lab = useLab(1);
    const options = { as: 64512, peers: [FROM_NODE] };

    it.each(['SIGTERM', 'SIGKILL'] as const)('the router ends by %s and comes back', async (signal) => {
      const router = await start(lab, options);
      const speaker = startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', external)]);
      await untilPaths(router, ROUTE.ipv4, undefined, 20_000);
      await router.stop(signal);
      await until('the speaker sees it', async () => (await speaker.peer('tor')).state !== 'Established');
      const again = await start(lab, options);
      await untilPaths(again, ROUTE.ipv4, undefined, 30_000);
      await speaker.untilEstablished('tor');
    });

    it('the speaker is killed: its routes go at once, and come back with it', async () => {
      const router = await start(lab, options);
      const speaker = startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', external)]);
      await untilPaths(router, ROUTE.ipv4, undefined, 20_000);
      await speaker.daemon.stop('SIGKILL');
      await untilGone(router, ROUTE.ipv4, 3_000);
      speaker.start();
      await untilPaths(router, ROUTE.ipv4, undefined, 30_000);
    });

    it('the speaker ends politely: withdrawn at once, Cease on the wire, exit 0', async () => {
      const router = await start(lab, options);
      const wire = await capture(lab, 'r');
      const speaker = startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', external)]);
      await untilPaths(router, ROUTE.ipv4, undefined, 20_000);
      const began = performance.now();
      expect(await speaker.daemon.stop('SIGTERM', 6_000)).toBe(0);
      expect(performance.now() - began).toBeLessThan(5_000);
      await untilGone(router, ROUTE.ipv4, 3_000);
      const farewell = (await wire.stop()).filter(({ text }) => /Notification Message/.test(text));
      // RFC 4486 and 9003: the text is shown by tcpdump
      expect(farewell.map(({ from }) => from.replace(/\.\d+$/, ''))).toEqual([node(1).ipv4]);
      expect(farewell[0]?.text).toMatch(
        /Cease \(6\), subcode Administrative Shutdown \(2\), Shutdown Communication.*\S/,
      );
    });

    it('with graceful restart the routes stay while the speaker restarts, and nothing is said', async () => {
      const router = await start(lab, { as: 64512, peers: [HELPED] });
      const wire = await capture(lab, 'r');
      const speaker = startSpeaker(lab, 'n1', [...cluster(), GRACEFUL]);
      await untilPaths(router, ROUTE.ipv4, undefined, 20_000);
      if (kind !== 'GoBGP') await until('the kernel has it', () => gateways(lab, 'r', ROUTE.ipv4).length === 1);
      // the router must have seen our End-of-RIB before it can help
      await until('synced', async () => (await speaker.peer('tor')).counters.sent['update'] === 2);
      const changes = watchKernel(lab);
      expect(await speaker.daemon.stop('SIGTERM', 6_000)).toBe(0);
      await untilPaths(router, ROUTE.ipv4, ([path]) => path?.stale === true);
      await throughout('the route stays', 2_000, async () => (await router.paths(ROUTE.ipv4)).length === 1);
      speaker.start();
      await untilPaths(router, ROUTE.ipv4, ([path]) => path?.stale === false, 30_000);
      await throughout('the route stays', 1_000, async () => (await router.paths(ROUTE.ipv4)).length === 1);
      expect(changes.log()).not.toMatch(/Deleted 203\.0\.113\.10/);
      const said = await wire.stop();
      expect(said.filter(({ text }) => /Notification Message/.test(text))).toEqual([]);
      // RFC 4724 §3: R in the first OPEN after any start, F because kube-proxy's data plane survives us
      const opens = said.filter(({ from, text }) => from.startsWith(`${node(1).ipv4}.`) && /Open Message/.test(text));
      expect(opens.length).toBeGreaterThanOrEqual(2);
      for (const open of [opens[0], opens.at(-1)]) {
        expect(open?.text).toMatch(
          /Restart Flags: \[R.*AFI IPv4 \(1\), SAFI Unicast \(1\), Forwarding state preserved: yes/,
        );
      }
    });

    it('with graceful restart a killed speaker keeps its routes too', async () => {
      const router = await start(lab, { as: 64512, peers: [HELPED] });
      const speaker = startSpeaker(lab, 'n1', [...cluster(), GRACEFUL]);
      await untilPaths(router, ROUTE.ipv4, undefined, 20_000);
      await until('synced', async () => (await speaker.peer('tor')).counters.sent['update'] === 2);
      await speaker.daemon.stop('SIGKILL');
      await untilPaths(router, ROUTE.ipv4, ([path]) => path?.stale === true);
      speaker.start();
      await untilPaths(router, ROUTE.ipv4, ([path]) => path?.stale === false, 30_000);
    });
  });
}

stories('a route that is unwanted after a graceful restart, with FRR', ['FRR'], () => {
  const lab = useLab(1);

  it('goes with the End-of-RIB, not with the restart time', async () => {
    const router = await startFrr(lab, { as: 64512, peers: [HELPED] });
    const objects = [...cluster(), GRACEFUL];
    const speaker = startSpeaker(lab, 'n1', objects);
    await untilPaths(router, ROUTE.ipv4);
    await speaker.daemon.stop('SIGTERM', 6_000);
    await untilPaths(router, ROUTE.ipv4, ([path]) => path?.stale === true);
    const web = objects.filter(({ kind }) => kind === 'Service');
    speaker.remove(...web);
    speaker.start();
    await untilGone(router, ROUTE.ipv4, 20_000);
    await untilUp(router, node(1).ipv4);
  });
});

stories('a hold time of 3 s, with FRR', ['FRR', 'tcpdump'], () => {
  const lab = useLab(1);
  const options = { as: 64512, peers: [{ ...FROM_NODE, holdTime: 3 }] };
  const peer = bgpPeer('tor', { ...external, holdTime: '3s', keepaliveTime: '1s' });

  describe('either side', () => {
    it('sends keepalives on time and stays', async () => {
      const router = await startFrr(lab, options);
      const speaker = startSpeaker(lab, 'n1', [...cluster(), peer]);
      await untilPaths(router, ROUTE.ipv4);
      expect((await speaker.peer('tor')).holdTimeMs).toBe(3_000);
      const wire = await capture(lab, 'r');
      await throughout('Established', 7_000, async () => (await router.state(node(1).ipv4)) === 'Established');
      const at = (await wire.stop())
        .filter(({ from, text }) => from.startsWith(`${node(1).ipv4}.`) && /Keepalive Message/.test(text))
        .map((packet) => packet.at);
      expect(at.length).toBeGreaterThanOrEqual(6);
      // RFC 4271 §10: a third of the hold time, shortened by at most a quarter
      const gaps = at.slice(1).map((time, i) => time - (at[i] ?? 0));
      expect(Math.max(...gaps)).toBeLessThan(1.3);
      expect(Math.min(...gaps)).toBeGreaterThan(0.7);
    });

    it('notices that the speaker hangs, and takes it back', async () => {
      const router = await startFrr(lab, options);
      const speaker = startSpeaker(lab, 'n1', [...cluster(), peer]);
      await untilPaths(router, ROUTE.ipv4);
      speaker.daemon.signal('SIGSTOP');
      await untilGone(router, ROUTE.ipv4, 5_000);
      speaker.daemon.signal('SIGCONT');
      await untilPaths(router, ROUTE.ipv4, undefined, 30_000);
    });

    it('notices that the router hangs, says so, and takes it back', async () => {
      const router = await startFrr(lab, options);
      const wire = await capture(lab, 'r');
      const speaker = startSpeaker(lab, 'n1', [...cluster(), peer]);
      await untilPaths(router, ROUTE.ipv4);
      router.bgpd.signal('SIGSTOP');
      await until('noticed', async () => (await speaker.peer('tor')).state !== 'Established', 5_000);
      expect((await speaker.peer('tor')).lastError?.code).toMatch(/^4/);
      router.bgpd.signal('SIGCONT');
      await untilPaths(router, ROUTE.ipv4, undefined, 30_000);
      const said = (await wire.stop()).filter(({ from }) => from.startsWith(`${node(1).ipv4}.`));
      expect(said.some(({ text }) => /Hold Timer Expired \(4\)/i.test(text))).toBe(true);
    });
  });
});
