// Sessions that are guarded: a TCP-MD5 key (RFC 2385), the TTL (RFC 5082), and a connection bound to one link. Each
// guard is also shown to refuse. The oracle is what tcpdump sees and what the router's kernel counts.

import { describe, expect, it } from 'vitest';
import { ROUTERS } from './every-router.ts';
import { startFrr } from './frr.ts';
import { type Lab, node, ROUTER } from './lab.ts';
import { bgpPeer, cluster, passwordSecret, ROUTE, VIP } from './manifests.ts';
import { throughout, until } from './process.ts';
import { untilPaths, untilUp } from './router.ts';
import { startSpeaker } from './speaker.ts';
import { stories, useLab } from './stories.ts';
import { capture, type Packet } from './wire.ts';

const BOTH = ['ipv4', 'ipv6'] as const;
const SECRET = 'correct horse';

/** The packets that our node sent. */
const ours = (packets: readonly Packet[]): Packet[] =>
  packets.filter(({ from }) => BOTH.some((family) => from.startsWith(`${node(1)[family]}.`)));

/** A counter of the kernel in the router's namespace. */
function kernelCounter(lab: Lab, name: string): number {
  return Number(new RegExp(`${name}\\s+(\\d+)`).exec(lab.run('r', ['nstat', '-asz', name]))?.[1]);
}

for (const { kind, start } of ROUTERS) {
  stories(`a TCP-MD5 key with ${kind}`, [kind, 'tcpdump'], () => {
    const lab = useLab(1);

    it.each(BOTH)('signs every segment over %s', async (family) => {
      const wire = await capture(lab, 'n1');
      const router = await start(lab, {
        as: 64512,
        peers: [{ address: node(1)[family], as: 64501, families: [family], password: SECRET.replace(' ', '-') }],
      });
      const spec = { myASN: 64501, peerASN: 64512, peerAddress: ROUTER[family], password: 'correct-horse' };
      startSpeaker(lab, 'n1', [...cluster([VIP[family]]), bgpPeer('tor', spec)]);
      await untilPaths(router, ROUTE[family], undefined, 20_000);
      const packets = ours(await wire.stop()).filter(({ text }) => !/Flags \[R/.test(text));
      expect(packets.length).toBeGreaterThan(4);
      expect(packets.filter(({ text }) => !/options \[.*md5/.test(text))).toEqual([]);
    });
  });
}

stories('a TCP-MD5 key that is wrong', ['FRR'], () => {
  const lab = useLab(1);
  const router = (password?: string) =>
    startFrr(lab, {
      as: 64512,
      peers: [
        { address: node(1).ipv4, as: 64501, families: ['ipv4'], ...(password === undefined ? {} : { password }) },
      ],
    });

  it.each([
    { name: 'another key', theirs: 'theirs', spec: { password: 'ours' }, counter: 'TcpExtTCPMD5Failure' },
    { name: 'none here', theirs: 'theirs', spec: {}, counter: 'TcpExtTCPMD5NotFound' },
    { name: 'none there', theirs: undefined, spec: { password: 'ours' }, counter: 'TcpExtTCPMD5Unexpected' },
  ])('never comes up: $name', async ({ theirs, spec, counter }) => {
    await router(theirs);
    const before = kernelCounter(lab, counter);
    const whole = { myASN: 64501, peerASN: 64512, peerAddress: ROUTER.ipv4, ...spec };
    const speaker = startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', whole)]);
    await until(`the router's kernel counts ${counter}`, () => kernelCounter(lab, counter) > before);
    await throughout('no session', 2_000, async () => (await speaker.peer('tor')).state !== 'Established');
  });

  it('comes up once the Secret holds the right one, without a restart', async () => {
    const frr = await router('right');
    const spec = { myASN: 64501, peerASN: 64512, peerAddress: ROUTER.ipv4, passwordSecret: { name: 'key' } };
    const objects = [...cluster(), bgpPeer('tor', spec), passwordSecret('key', 'wrong')];
    const speaker = startSpeaker(lab, 'n1', objects);
    const before = kernelCounter(lab, 'TcpExtTCPMD5Failure');
    await until('refused', () => kernelCounter(lab, 'TcpExtTCPMD5Failure') > before);
    speaker.apply(passwordSecret('key', 'right'));
    await untilUp(frr, node(1).ipv4);
    expect(await speaker.get('/api/v1/state')).not.toMatch(/right|wrong/);
    expect(speaker.daemon.log()).not.toMatch(/"(right|wrong)"/);
  });
});

for (const { kind, start } of ROUTERS) {
  stories(`the TTL with ${kind}`, [kind, 'tcpdump'], () => {
    const lab = useLab(1);

    it.each(BOTH)('is 255 on all that we send over %s, which meets a router that demands it', async (family) => {
      const wire = await capture(lab, 'r');
      const router = await start(lab, {
        as: 64512,
        peers: [{ address: node(1)[family], as: 64501, families: [family], gtsm: true }],
      });
      const peer = bgpPeer('tor', { myASN: 64501, peerASN: 64512, peerAddress: ROUTER[family] });
      startSpeaker(lab, 'n1', [...cluster([VIP[family]]), peer]);
      await untilPaths(router, ROUTE[family], undefined, 20_000);
      // segments of the kernel alone, a reset for want of a listener, are not the speaker's
      const packets = ours(await wire.stop()).filter(({ text }) => !/Flags \[R/.test(text));
      expect(packets.length).toBeGreaterThan(4);
      expect(packets.filter(({ ttl }) => ttl !== 255)).toEqual([]);
    });
  });
}

stories('ttlSecurity with FRR', ['FRR'], () => {
  const lab = useLab(1);

  describe.each(BOTH)('over %s', (family) => {
    const tor = (gtsm: boolean) =>
      startFrr(lab, {
        as: 64512,
        peers: [{ address: node(1)[family], as: 64501, families: [family], ...(gtsm ? { gtsm: true } : {}) }],
      });
    const peer = bgpPeer('tor', { myASN: 64501, peerASN: 64512, peerAddress: ROUTER[family], ttlSecurity: 1 });

    it('comes up when the router sends 255', async () => {
      const router = await tor(true);
      startSpeaker(lab, 'n1', [...cluster([VIP[family]]), peer]);
      await untilPaths(router, ROUTE[family]);
    });

    it('never comes up when the router sends less', async () => {
      const router = await tor(false);
      const speaker = startSpeaker(lab, 'n1', [...cluster([VIP[family]]), peer]);
      await until('the speaker dials', async () => (await speaker.peer('tor')).state !== 'Idle');
      await throughout('no session', 3_000, async () => (await router.state(node(1)[family])) !== 'Established');
    });
  });
});

stories('a connection bound to a link', ['FRR', 'tcpdump'], () => {
  const lab = useLab(1);

  it('leaves by that link though another has the better route', async () => {
    // a second link between node and router, and an address of the router that is behind both
    const peerLink = `${lab.namespace('r')}`;
    lab.ip('n1', `link add eth1 type veth peer name eth2 netns ${peerLink}`, 'link set eth1 up');
    lab.ip('n1', 'addr add 198.18.255.2/30 dev eth1');
    lab.ip('r', 'link set eth2 up', 'addr add 198.18.255.1/30 dev eth2', 'addr add 198.18.254.1/32 dev lo');
    lab.ip(
      'n1',
      `route add 198.18.254.1/32 via ${ROUTER.ipv4} dev eth0 metric 1`,
      'route add 198.18.254.1/32 via 198.18.255.1 dev eth1 metric 100',
    );
    const wrongLink = await capture(lab, 'n1', 'eth0');
    const router = await startFrr(lab, {
      as: 64512,
      peers: [
        { address: '198.18.255.2', local: '198.18.254.1', as: 64501, families: ['ipv4'], multihop: 2, passive: true },
      ],
    });
    // without VRFs in the kernel a plain link stands in: both are SO_BINDTODEVICE
    const spec = { myASN: 64501, peerASN: 64512, peerAddress: '198.18.254.1', ebgpMultiHop: true, vrf: 'eth1' };
    startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', spec)]);
    expect(await untilPaths(router, ROUTE.ipv4)).toMatchObject([{ from: '198.18.255.2', nextHop: '198.18.255.2' }]);
    expect(await wrongLink.stop()).toEqual([]);
  });

  it('says what is wrong when there is no such link', async () => {
    const spec = { myASN: 64501, peerASN: 64512, peerAddress: ROUTER.ipv4, vrf: 'no-such-vrf' };
    const speaker = startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', spec)]);
    const error = await until('an error is shown', async () => (await speaker.peer('tor')).lastError ?? undefined);
    expect(error.text).toMatch(/no-such-vrf/);
    expect(speaker.daemon.running).toBe(true);
  });
});

// How each kind of link is put over eth1 of the node, and what the router needs on its side: [node's lines, router's lines].
const OVER: Readonly<Record<'vrf' | 'vlan' | 'bond', readonly [node: readonly string[], router: readonly string[]]>> = {
  vrf: [
    ['link add over0 type vrf table 10', 'link set over0 up', 'link set eth1 master over0 up'],
    ['link set eth2 up'],
  ],
  vlan: [
    ['link set eth1 up', 'link add link eth1 name over0 type vlan id 7', 'link set over0 up'],
    ['link set eth2 up', 'link add link eth2 name over0 type vlan id 7', 'link set over0 up'],
  ],
  bond: [
    ['link add over0 type bond mode active-backup', 'link set eth1 master over0', 'link set over0 up'],
    ['link set eth2 up'],
  ],
};

for (const kind of ['vrf', 'vlan', 'bond'] as const) {
  stories(
    `a session over a ${kind} link`,
    ['FRR'],
    () => {
      const lab = useLab(1);

      it('announces through it', async () => {
        const [ours, theirs] = OVER[kind];
        lab.ip('n1', `link add eth1 type veth peer name eth2 netns ${lab.namespace('r')}`, ...ours);
        lab.ip('r', ...theirs, `addr add 198.18.255.1/30 dev ${kind === 'vlan' ? 'over0' : 'eth2'}`);
        lab.ip('n1', `addr add 198.18.255.2/30 dev ${kind === 'vrf' ? 'eth1' : 'over0'}`);
        const peers = [{ address: '198.18.255.2', local: '198.18.255.1', as: 64501, families: ['ipv4'] as const }];
        const router = await startFrr(lab, { as: 64512, peers });
        const spec = { myASN: 64501, peerASN: 64512, peerAddress: '198.18.255.1', vrf: 'over0' };
        startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', spec)]);
        expect(await untilPaths(router, ROUTE.ipv4)).toMatchObject([{ from: '198.18.255.2' }]);
      });
    },
    [kind],
  );
}
