// Peers that are named by an interface alone, with FRR's `neighbor eth0 interface remote-as external` at the other end: both
// find each other by Router Advertisements, and IPv4 routes have an IPv6 next hop (RFC 8950) in the router's kernel.

import { expect, it } from 'vitest';
import { startFrr } from './frr.ts';
import { type Lab, node, ROUTER } from './lab.ts';
import { bfdProfile, bgpPeer, cluster, ROUTE, VIP } from './manifests.ts';
import { until } from './process.ts';
import type { RouterOptions } from './router.ts';
import { untilGone, untilPaths } from './router.ts';
import { startSpeaker } from './speaker.ts';
import { stories, useLab } from './stories.ts';
import { capture } from './wire.ts';

const BOTH = [VIP.ipv4, VIP.ipv6];
const OPTIONS: RouterOptions = {
  as: 64512,
  peers: [{ address: 'eth0', as: 'external', families: ['ipv4', 'ipv6'], holdTime: 9 }],
};
const TOR = { myASN: 64501, peerASN: 64512, interface: 'eth0', holdTime: '9s' };

/** The link-local address of a place's eth0, as its kernel has it. */
function linkLocal(lab: Lab, place: 'r' | 'n1'): string {
  const text = lab.run(place, ['ip', '-6', '-oneline', 'address', 'show', 'dev', 'eth0', 'scope', 'link']);
  return /inet6 (fe80:[0-9a-f:]+)/.exec(text)?.[1] ?? expect.fail(`no link-local address in ${place}`);
}

/** Where the kernel of the router sends a prefix, of whatever family the gateway is. */
function kernelGateways(lab: Lab, prefix: string): (string | undefined)[] {
  interface Route {
    readonly gateway?: string;
    readonly via?: { readonly host: string };
  }
  const routes: readonly Route[] = JSON.parse(
    lab.run('r', ['ip', prefix.includes(':') ? '-6' : '-4', '-json', 'route', 'show', prefix]) || '[]',
  );
  return routes.map(({ gateway, via }) => gateway ?? via?.host);
}

async function untilInKernel(lab: Lab, prefix: string): Promise<void> {
  const us = linkLocal(lab, 'n1');
  await until(`the router sends ${prefix} to ${us}`, () => kernelGateways(lab, prefix).join() === us);
}

stories('an unnumbered peer with FRR', ['FRR', 'tcpdump'], () => {
  const lab = useLab(1);
  const peers = (spec: object = {}) => [...cluster(BOTH), bgpPeer('tor', { ...TOR, ...spec })];
  const untilRoutes = () => Promise.all([ROUTE.ipv4, ROUTE.ipv6].map((prefix) => untilInKernel(lab, prefix)));

  it('is found, and routes of both families arrive with our link-local address as next hop', async () => {
    const wire = await capture(lab, 'r', 'eth0', 'icmp6 and ip6[40] == 134');
    const router = await startFrr(lab, OPTIONS);
    const speaker = startSpeaker(lab, 'n1', peers());
    const peer = await speaker.untilEstablished('tor', 20_000);
    expect(peer).toMatchObject({ address: linkLocal(lab, 'r'), interface: 'eth0' });
    expect(peer.families).toHaveLength(2);
    await untilRoutes();
    expect((await router.paths(ROUTE.ipv6))[0]?.nextHop).toBe(node(1).ipv6);
    expect(await speaker.get('/metrics')).toMatch(/metallb_bgp_session_up\{peer="eth0"\} 1/);
    const ours = (await wire.stop()).filter(({ text }) => text.includes(`${linkLocal(lab, 'n1')} > ff02::1:`));
    expect(ours[0]?.text).toMatch(/hlim 255.*icmp6 sum ok.*router advertisement.*router lifetime 0s/);
    expect(ours[0]?.text).toContain('source link-address option (1), length 8');
  });

  it('needs no other address on the link, at neither end', async () => {
    const flush = (place: 'r' | 'n1') => lab.run(place, ['ip', 'address', 'flush', 'dev', 'eth0', 'scope', 'global']);
    const give = (place: 'r' | 'n1', { ipv4, ipv6 }: typeof ROUTER | ReturnType<typeof node>) =>
      lab.ip(place, `addr add ${ipv4}/25 dev eth0`, `addr add ${ipv6}/64 dev eth0 nodad`);
    for (const place of ['r', 'n1'] as const) flush(place);
    try {
      const router = await startFrr(lab, OPTIONS);
      const speaker = startSpeaker(lab, 'n1', peers({ peerASN: undefined, dynamicASN: 'external' }));
      await speaker.untilEstablished('tor', 20_000);
      await untilRoutes();
      await untilPaths(router, ROUTE.ipv4);
    } finally {
      give('r', ROUTER);
      give('n1', node(1));
    }
  });

  it('says why nobody is dialled, for as long as that is so', async () => {
    const speaker = startSpeaker(lab, 'n1', [...peers(), bgpPeer('gone', { ...TOR, interface: 'eth9' })]);
    const says = (name: string, code: string) =>
      until(`${name} says ${code}`, async () => (await speaker.peer(name)).lastError?.code === code);
    await Promise.all([says('tor', 'noNeighborYet'), says('gone', 'interfaceAbsent')]);
    expect((await speaker.peer('tor')).state).toBe('Idle');
    expect(await speaker.get('/metrics')).toContain('fairway_bgp_unserved_peers{reason="noNeighborYet"} 1');
    lab.ip('n1', 'link set eth0 down');
    try {
      await says('tor', 'interfaceDown');
    } finally {
      lab.ip('n1', 'link set eth0 up', `addr replace ${node(1).ipv6}/64 dev eth0 nodad`);
    }
    await startFrr(lab, OPTIONS);
    await speaker.untilEstablished('tor', 20_000);
    expect(await speaker.get('/metrics')).not.toContain('reason="noNeighborYet"');
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)('comes back after the router ended by %s', async (signal) => {
    const router = await startFrr(lab, OPTIONS);
    const speaker = startSpeaker(lab, 'n1', peers());
    await speaker.untilEstablished('tor', 20_000);
    await untilRoutes();
    await router.stop(signal);
    await until('the speaker sees it', async () => (await speaker.peer('tor')).state !== 'Established');
    await startFrr(lab, OPTIONS);
    await speaker.untilEstablished('tor', 30_000);
    await untilRoutes();
  });

  it('may dial itself, beside one that has an address', async () => {
    await startFrr(lab, OPTIONS);
    // nobody answers where we dial
    const spec = { ...TOR, peerPort: 1790 };
    const numbered = bgpPeer('numbered', { myASN: 64501, peerASN: 64512, peerAddress: ROUTER.ipv6 });
    const objects = [...cluster(BOTH), bgpPeer('tor', spec), numbered];
    const speaker = startSpeaker(lab, 'n1', objects, ['--bgp-listen', '[::]:179']);
    const peer = await speaker.untilEstablished('tor', 30_000);
    expect(peer.address).toBe(linkLocal(lab, 'r'));
    await untilRoutes();
    expect(JSON.parse(await speaker.get('/api/v1/state')).listening).toEqual([{ address: '[::]:179', error: '' }]);
  });

  it('ends with the link, and comes back with it', async () => {
    const router = await startFrr(lab, OPTIONS);
    const speaker = startSpeaker(lab, 'n1', peers());
    await speaker.untilEstablished('tor', 20_000);
    await untilRoutes();
    lab.ip('sw', 'link set n1 down');
    await until('the session ends', async () => (await speaker.peer('tor')).state !== 'Established', 15_000);
    await untilGone(router, ROUTE.ipv4, 15_000);
    lab.ip('sw', 'link set n1 up');
    await speaker.untilEstablished('tor', 30_000);
    await untilRoutes();
  });

  it('waits for an interface that was taken away, and goes on with another one of its name', async () => {
    await startFrr(lab, OPTIONS);
    const speaker = startSpeaker(lab, 'n1', peers());
    await speaker.untilEstablished('tor', 20_000);
    lab.ip('n1', 'link del eth0');
    const isAbsent = async () => (await speaker.peer('tor')).lastError?.code === 'interfaceAbsent';
    try {
      await until('the interface is missed', isAbsent, 20_000);
    } finally {
      lab.ip('sw', `link add n1 type veth peer name eth0 netns ${lab.namespace('n1')}`, 'link set n1 master br0 up');
      lab.ip('n1', 'link set eth0 up', `addr add ${node(1).ipv4}/25 dev eth0`, `addr add ${node(1).ipv6}/64 dev eth0`);
    }
    await speaker.untilEstablished('tor', 30_000);
    await untilRoutes();
  });

  it('has BFD beside it, over the link-local addresses', async () => {
    const bfd = ['bfd', ` peer ${linkLocal(lab, 'n1')} interface eth0`, ' exit', 'exit'];
    const [peer] = OPTIONS.peers;
    if (peer === undefined) expect.fail('no peer');
    const router = await startFrr(lab, { ...OPTIONS, peers: [{ ...peer, extra: ['bfd'] }], bfd });
    const speaker = startSpeaker(lab, 'n1', [bfdProfile('fast'), ...peers({ bfdProfile: 'fast' })]);
    await speaker.untilEstablished('tor', 20_000);
    expect((await speaker.untilBfd('tor')).hops).toBe('single');
    expect((await router.bfdPeer(linkLocal(lab, 'n1'))).status).toBe('up');
    lab.ip('sw', 'link set n1 nomaster');
    try {
      await until('BGP is down', async () => (await speaker.peer('tor')).state !== 'Established', 3_000);
      expect((await speaker.peer('tor')).lastError?.text).toContain('nothing was heard for the detection time');
    } finally {
      lab.ip('sw', 'link set n1 master br0');
    }
    await speaker.untilEstablished('tor', 20_000);
    await speaker.untilBfd('tor');
  });
});
