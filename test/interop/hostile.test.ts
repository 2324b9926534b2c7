// Neighbours that misbehave, and neighbours that dial at the same moment: nobody else notices, and exactly one session
// is left. The healthy router beside the bad one is the oracle.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startBird } from './bird.ts';
import { ROUTERS } from './every-router.ts';
import { startFrr } from './frr.ts';
import { type Lab, node, ROUTER } from './lab.ts';
import { advertisement, bgpPeer, cluster, endpoints, ROUTE } from './manifests.ts';
import { throughout, until } from './process.ts';
import { untilGone, untilPaths, untilUp } from './router.ts';
import { IMAGE_FLAGS, Speaker, startSpeaker } from './speaker.ts';
import { stories, useLab } from './stories.ts';

const external = { myASN: 64501, peerASN: 64512, peerAddress: ROUTER.ipv4 };
const FROM_NODE = { address: node(1).ipv4, as: 64501, families: ['ipv4'] } as const;
const INSIDE = join(import.meta.dirname, 'inside.ts');

/** Resident memory of the speaker, in MiB. */
function residentMiB(speaker: Speaker): number {
  const status = readFileSync(`/proc/${speaker.daemon.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

/** Established TCP connections of BGP at the node, as the kernel counts them. */
function connections(lab: Lab): number {
  const lines = lab.run('n1', ['ss', '-Htn', 'state', 'established', '( sport = :179 or dport = :179 )']);
  return lines.split('\n').filter(Boolean).length;
}

for (const { kind, start } of ROUTERS) {
  stories(`both sides dial, with ${kind}`, [kind], () => {
    const lab = useLab(1);

    // which of the two dials first is chance: that the right one lives is the next story's
    it.each([
      { higher: 'the router', routerId: '203.0.113.200' },
      { higher: 'the speaker', routerId: '1.1.1.1' },
    ])('one session is left when $higher has the higher identifier', async ({ routerId }) => {
      const listen = ['--bgp-listen', `${node(1).ipv4}:179`];
      const speaker = startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', external)], listen);
      const router = await start(lab, { as: 64512, routerId, peers: [FROM_NODE] });
      await untilPaths(router, ROUTE.ipv4, undefined, 30_000);
      await speaker.untilEstablished('tor');
      await until('one connection is left', () => connections(lab) === 1);
      await throughout('one session, no flap', 3_000, async () => {
        return connections(lab) === 1 && (await router.paths(ROUTE.ipv4)).length === 1;
      });
    });
  });
}

stories('two connections at the same moment', [], () => {
  const lab = useLab(1);

  it.each([
    { higher: 'the neighbour', routerId: '203.0.113.200', ends: 'dialled-by-speaker', goesOn: 'dialled-by-us' },
    { higher: 'the speaker', routerId: '1.1.1.1', ends: 'dialled-by-us', goesOn: 'dialled-by-speaker' },
  ])('the one that $higher dialled lives, as it has the higher identifier', async ({ routerId, ends, goesOn }) => {
    const script = join(import.meta.dirname, 'collider.ts');
    const collider = lab.spawn('collider', 'r', [process.execPath, script, '64512', routerId, node(1).ipv4]);
    const listen = ['--bgp-listen', `${node(1).ipv4}:179`];
    startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', external)], listen);
    // RFC 4486: Connection Collision Resolution
    await until('one is closed', () => collider.log().includes(`${ends} NOTIFICATION 6/7`));
    await throughout('the other one is not', 1_000, () => !collider.log().includes(`${goesOn} NOTIFICATION`));
    expect(collider.log()).toContain(`${goesOn} OPEN`);
  });
});

stories('a bad neighbour beside a good one', ['FRR', 'BIRD'], () => {
  const lab = useLab(2);
  const bad = bgpPeer('bad', { ...external, peerASN: 64513, peerAddress: node(2).ipv4 });

  /** The good router hears of every change within a moment, of the withdrawal last. */
  async function expectGoodToBeServed(speaker: Speaker, router: Awaited<ReturnType<typeof startFrr>>): Promise<void> {
    // changes that are no flaps: a prefix that comes and goes would be held back on purpose
    for (const community of ['64512:1', '64512:2', '64512:3']) {
      speaker.apply(advertisement({ communities: [community] }));
      await untilPaths(router, ROUTE.ipv4, ([path]) => path?.communities.join() === community, 2_000);
    }
    speaker.apply(endpoints([]));
    await untilGone(router, ROUTE.ipv4, 2_000);
    expect((await router.neighbour(node(1).ipv4)).connectionsEstablished).toBe(1);
  }

  it('that stops reading does not delay the good one', async () => {
    const good = await startFrr(lab, { as: 64512, peers: [FROM_NODE] });
    const hung = await startBird(lab, {
      place: 'n2',
      as: 64513,
      routerId: node(2).ipv4,
      peers: [{ ...FROM_NODE, local: node(2).ipv4 }],
    });
    const speaker = startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', external), bad]);
    await untilPaths(hung, ROUTE.ipv4);
    await untilPaths(good, ROUTE.ipv4);
    hung.daemon.signal('SIGSTOP');
    await expectGoodToBeServed(speaker, good);
    hung.daemon.signal('SIGCONT');
    // it catches up on the same session: its hold time has not passed
    await untilGone(hung, ROUTE.ipv4);
    await untilUp(hung, node(1).ipv4);
  });

  it('that talks garbage is refused, backed off from and shown; the good one does not notice', async () => {
    const good = await startFrr(lab, { as: 64512, peers: [FROM_NODE] });
    lab.spawn('babble', 'n2', [process.execPath, INSIDE, 'babble', '179']);
    const speaker = startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', external), bad]);
    await untilPaths(good, ROUTE.ipv4);
    const before = residentMiB(speaker);
    const error = await until('the fault is shown', async () => (await speaker.peer('bad')).lastError ?? undefined);
    expect(error.code).toMatch(/^1\//);
    await expectGoodToBeServed(speaker, good);
    await throughout('never a session', 4_000, async () => (await speaker.peer('bad')).state !== 'Established');
    expect(residentMiB(speaker) - before).toBeLessThan(32);
  });

  it('that floods costs no memory to speak of, no late keepalive, and the good one nothing', async () => {
    const good = await startFrr(lab, { as: 64512, peers: [{ ...FROM_NODE, holdTime: 3 }] });
    const flood = [`${64513}`, node(2).ipv4, '500000', '5', '60'];
    const flooder = lab.spawn('flooder', 'n2', [process.execPath, join(import.meta.dirname, 'flooder.ts'), ...flood]);
    await until('the flooder has its table', () => flooder.log().includes('ready'), 20_000);
    const timers = { holdTime: '3s', keepaliveTime: '1s' };
    const peers = [
      bgpPeer('tor', { ...external, ...timers }),
      bgpPeer('bad', { ...external, ...timers, peerASN: 64513, peerAddress: node(2).ipv4 }),
    ];
    const speaker = new Speaker(lab, 'n1', [...cluster(), ...peers], []);
    speaker.start(undefined, IMAGE_FLAGS);
    await untilPaths(good, ROUTE.ipv4);
    await until('the flooder has its session', () => flooder.log().includes('established'));
    const before = residentMiB(speaker);
    flooder.signal('SIGUSR2');
    await until(
      'it floods',
      async () => ((await speaker.peer('bad')).counters.learned['ipv4-unicast'] ?? 0) > 1_000_000,
    );
    await expectGoodToBeServed(speaker, good);
    // 30 million routes: it is still at it
    expect(flooder.log()).not.toMatch(/^\{/m);
    const { longestMs } = JSON.parse(await until('it is through', () => /^\{.*\}$/m.exec(flooder.log())?.[0], 60_000));
    expect(longestMs).toBeLessThan(1_500);
    expect(flooder.log()).not.toContain('notified');
    expect(residentMiB(speaker) - before).toBeLessThan(32);
    expect((await good.neighbour(node(1).ipv4)).connectionsEstablished).toBe(1);
  });
});

stories('a router that sends all it has', ['FRR', 'BIRD', 'GoBGP'], () => {
  const lab = useLab(1);

  it.each(ROUTERS)('$kind: its routes are counted and dropped, and the session stays', async ({ kind, start }) => {
    const announce = ['198.18.1.0/24', '198.18.2.0/24', '2001:db8:e::/48'];
    const router = await start(lab, {
      as: 64512,
      announce,
      peers: [{ ...FROM_NODE, families: ['ipv4', 'ipv6'] }],
    });
    const peer = bgpPeer('tor', { ...external, dualStackAddressFamily: true });
    const speaker = startSpeaker(lab, 'n1', [...cluster(), peer]);
    await untilPaths(router, ROUTE.ipv4, undefined, 20_000);
    // FRR sends a route back to where it came from
    const wanted = kind === 'FRR' ? 3 : 2;
    await until('all are counted', async () => {
      const { learned } = (await speaker.peer('tor')).counters;
      return learned['ipv4-unicast'] === wanted && learned['ipv6-unicast'] === 1;
    });
    expect(lab.kernelRoutes('n1', '198.18.1.0/24')).toEqual([]);
  });

  it('communities of three kinds and attributes that we do not know cost nothing', async () => {
    const family = [
      'ipv4 { import all; export filter { if source != RTS_STATIC then reject;',
      'bgp_community.add((64512, 7)); bgp_large_community.add((64512, 1, 2));',
      // route target, and the link bandwidth of 1 Gbit/s (RFC 10005)
      'bgp_ext_community.add((rt, 64512, 99)); bgp_ext_community.add((generic, 0x4004fc00, 0x4cee6b28));',
      'bgp_med = 77; accept; }; };',
    ].join(' ');
    const router = await startBird(lab, {
      as: 64512,
      announce: ['198.18.1.0/24', '198.18.2.0/24'],
      peers: [{ ...FROM_NODE, families: [], extra: [family] }],
    });
    const speaker = startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', external)]);
    await untilPaths(router, ROUTE.ipv4);
    await until('both are counted', async () => (await speaker.peer('tor')).counters.learned['ipv4-unicast'] === 2);
    expect((await speaker.peer('tor')).lastError).toBeNull();
    await throughout('Established', 1_000, async () => (await router.state(node(1).ipv4)) === 'Established');
  });
});

stories('a listener for configured peers alone', ['FRR'], () => {
  const lab = useLab(2);

  it('closes a stranger at once and serves the router', async () => {
    const router = await startFrr(lab, { as: 64512, peers: [FROM_NODE] });
    const listen = ['--bgp-listen', `${node(1).ipv4}:179`];
    startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', external)], listen);
    await untilPaths(router, ROUTE.ipv4, undefined, 20_000);
    // an answer would be an OPEN of ours
    const answers = JSON.parse(lab.run('n2', [process.execPath, INSIDE, 'fetch', node(1).ipv4, '179', '20']));
    expect(Object.entries(answers).filter(([answer]) => answer !== '' && !/ECONNRESET/.test(answer))).toEqual([]);
    expect((await router.neighbour(node(1).ipv4)).connectionsEstablished).toBe(1);
  });
});

stories('a router that announces more routes than prefixLimit allows', ['FRR'], () => {
  const lab = useLab(1);
  const announce = ['198.18.1.0/24', '198.18.2.0/24', '198.18.3.0/24'];
  const start = async (action: string) => {
    const router = await startFrr(lab, { as: 64512, announce, peers: [FROM_NODE] });
    const peer = bgpPeer('tor', { ...external, prefixLimit: { routes: 2, action } });
    return { router, speaker: startSpeaker(lab, 'n1', [...cluster(), peer]) };
  };

  it('is told so and left, where that is asked for', async () => {
    const { router, speaker } = await start('reset');
    const error = await until('an error is shown', async () => (await speaker.peer('tor')).lastError ?? undefined);
    expect(error.code).toBe('6/1');
    expect((await router.neighbour(node(1).ipv4)).lastNotificationReason).toMatch(/Maximum Number of Prefixes/i);
  });

  it.each(['warn', 'disable-family'])('is served on, with a warning, where the action is %s', async (action) => {
    const { router, speaker } = await start(action);
    await untilPaths(router, ROUTE.ipv4);
    await until('it warns', async () => (await speaker.peer('tor')).warnings.length === 1);
    expect((await speaker.peer('tor')).state).toBe('Established');
  });
});
