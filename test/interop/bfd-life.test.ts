// The life of a BFD session beside its BGP session: re-tuned, signed, passive, taken down on purpose, its daemon killed, left
// for a restart; and what users see of each. With FRR's bfdd and BIRD as they are.

import { afterEach, describe, expect, it } from 'vitest';
import { peerSpec, type Route, startBirdOn, startFrrOn } from './bfd-paths.ts';
import { gateways, node } from './lab.ts';
import { bfdProfile, bgpPeer, cluster, passwordSecret, pool, ROUTE as VIP_ROUTE } from './manifests.ts';
import { throughout, until } from './process.ts';
import { untilGone, untilPaths, untilUp } from './router.ts';
import { type Speaker, startSpeaker } from './speaker.ts';
import { stories, useLab } from './stories.ts';

const ROUTE: Route = { name: '', hops: 'single', family: 'ipv4' };
const US = node(1).ipv4;

const established = async (speaker: Speaker) => (await speaker.peer('tor')).state === 'Established';

stories('the life of a BFD session', ['FRR', 'BIRD'], () => {
  const lab = useLab(2);
  afterEach(() => lab.ip('sw', 'link set n1 master br0'));

  function speakerWith(profile: object, more: Parameters<typeof startSpeaker>[2] = [], peer: object = {}): Speaker {
    const objects = [...cluster(), bfdProfile('fast', profile), bgpPeer('tor', peerSpec(ROUTE, peer)), ...more];
    return startSpeaker(lab, 'n1', objects);
  }

  it('a changed profile is told by a Poll Sequence, and nothing flaps', async () => {
    const router = await startFrrOn(lab, ROUTE);
    const speaker = speakerWith({});
    await untilUp(router, US);
    await speaker.untilBfd('tor');
    const sees = (tx: number, rx: number, mult: number) =>
      until(`FRR sees ${tx} ms, ${rx} ms and ${mult}`, async () => {
        const peer = await router.bfdPeer(US);
        const told = [
          peer['remote-transmit-interval'],
          peer['remote-receive-interval'],
          peer['remote-detect-multiplier'],
        ];
        return peer.status === 'up' && told.join() === [tx, rx, mult].join();
      });
    await sees(300, 300, 3);
    speaker.apply(bfdProfile('fast', { transmitInterval: 80, receiveInterval: 120, detectMultiplier: 5 }));
    await sees(80, 120, 5);
    speaker.apply(bfdProfile('fast', { transmitInterval: 500, receiveInterval: 700, detectMultiplier: 2 }));
    await sees(500, 700, 2);
    expect((await speaker.bfd('tor')).counters).toMatchObject({ upEvents: 1, downEvents: 0 });
    expect(await established(speaker)).toBe(true);
  });

  it('a profile that is taken from the peer ends BFD alone, and comes back without a flap', async () => {
    const router = await startBirdOn(lab, ROUTE);
    const speaker = speakerWith({});
    await untilUp(router, US);
    await speaker.untilBfd('tor');
    const { since } = await speaker.peer('tor');
    speaker.apply(bgpPeer('tor', peerSpec(ROUTE, { bfdProfile: '' })));
    await until('there is no BFD', async () => (await speaker.peer('tor')).bfd === null);
    // BIRD takes AdminDown for a failure and resets BGP; we do not
    const { lastError } = await until('BIRD has reset it', async () => {
      const peer = await speaker.peer('tor');
      return peer.since !== since && peer;
    });
    expect(lastError?.text).toContain('received 6/');
    await speaker.untilEstablished('tor', 15_000);
    const again = (await speaker.peer('tor')).since;
    speaker.apply(bgpPeer('tor', peerSpec(ROUTE)));
    await speaker.untilBfd('tor');
    expect((await speaker.peer('tor')).since).toBe(again);
  });

  describe('authentication with BIRD', () => {
    const secret = passwordSecret('bfd-key', 'geheim');
    const profileOf = (type: string, keyID = 7) => ({
      authentication: { type, keyID, secretRef: { name: 'bfd-key' } },
    });
    const lines = (type: string) => [`interval 100 ms; authentication ${type}; password "geheim" { id 7; };`];

    it.each([
      ['keyed-md5', 'keyed md5'],
      ['meticulous-keyed-md5', 'meticulous keyed md5'],
      ['keyed-sha1', 'keyed sha1'],
      ['meticulous-keyed-sha1', 'meticulous keyed sha1'],
    ])('%s', async (type, inBird) => {
      const router = await startBirdOn(lab, ROUTE, { lines: lines(inBird) });
      const speaker = speakerWith(profileOf(type), [secret]);
      await untilUp(router, US);
      await speaker.untilBfd('tor');
      await throughout('it stays', 2_000, async () => (await router.bfdPeer(US)).state === 'Up');
      const { authentication, counters } = await speaker.bfd('tor');
      expect([authentication, counters?.downEvents]).toEqual([type, 0]);
    });

    it('with another key does not come up, is counted, and is no failure for BGP', async () => {
      const router = await startBirdOn(lab, ROUTE, { lines: lines('meticulous keyed sha1') });
      const speaker = speakerWith(profileOf('meticulous-keyed-sha1'), [passwordSecret('bfd-key', 'falsch')]);
      await untilUp(router, US);
      await until('it is counted', async () => ((await speaker.bfd('tor')).counters?.drops['auth-digest'] ?? 0) > 2);
      expect([(await speaker.bfd('tor')).state, await established(speaker)]).toEqual(['Down', true]);
      // mended where it stands
      speaker.apply(secret);
      await speaker.untilBfd('tor');
    });

    it('that the router does not have does not come up either', async () => {
      const router = await startBirdOn(lab, ROUTE);
      const speaker = speakerWith(profileOf('keyed-sha1'), [secret]);
      await untilUp(router, US);
      await until('it is counted', async () => ((await speaker.bfd('tor')).counters?.drops['auth-missing'] ?? 0) > 1);
      expect(await established(speaker)).toBe(true);
    });
  });

  describe('a passive end', () => {
    it.each([
      ['ours', true, []],
      ["FRR's", false, ['passive-mode']],
    ])('%s waits for the other', async (_, passiveMode, lines) => {
      const router = await startFrrOn(lab, ROUTE, { lines });
      const speaker = speakerWith({ passiveMode });
      await untilUp(router, US);
      await speaker.untilBfd('tor');
    });

    it('on both sides: silence, and BGP runs without', async () => {
      const router = await startFrrOn(lab, ROUTE, { lines: ['passive-mode'] });
      const speaker = speakerWith({ passiveMode: true });
      await untilUp(router, US);
      await throughout('it is down', 3_000, async () => (await speaker.bfd('tor')).state === 'Down');
      const { state, bfd } = await speaker.peer('tor');
      expect([state, bfd?.counters?.sent, bfd?.counters?.received]).toEqual(['Established', 0, 0]);
    });
  });

  it('AdminDown of the router is no failure: BGP stays, on our side', async () => {
    const router = await startFrrOn(lab, ROUTE);
    const speaker = speakerWith({});
    await untilUp(router, US);
    await speaker.untilBfd('tor');
    await router.bfd('configure terminal', 'bfd', 'profile p', 'shutdown', 'end');
    const bfd = await until('it is told', async () => {
      const told = await speaker.bfd('tor');
      return told.remote?.state === 'AdminDown' && told;
    });
    expect([bfd.state, bfd.diagnostic]).toEqual(['Down', 'Neighbor Signaled Session Down']);
    expect((await speaker.peer('tor')).lastError?.code).not.toBe('6/10');
    await router.bfd('configure terminal', 'bfd', 'profile p', 'no shutdown', 'end');
    await speaker.untilBfd('tor');
    await speaker.untilEstablished('tor');
  });

  it("the router's BFD is killed: BGP goes down with 6/10, and comes back without it", async () => {
    const router = await startFrrOn(lab, ROUTE);
    const speaker = speakerWith({});
    await untilUp(router, US);
    await speaker.untilBfd('tor');
    await until('it has settled', async () => Date.now() - Date.parse((await speaker.peer('tor')).since) > 2_000);
    await router.bfdd?.stop('SIGKILL');
    await until('BGP is down', async () => !(await established(speaker)), 3_000);
    expect((await speaker.peer('tor')).lastError?.code).toBe('6/10');
    await speaker.untilEstablished('tor', 20_000);
  });

  it.each(['FRR', 'BIRD'] as const)(
    'we are killed: %s is rid of our routes within the detection time',
    async (kind) => {
      const router = await (kind === 'FRR' ? startFrrOn : startBirdOn)(lab, ROUTE);
      const speaker = speakerWith({});
      await untilPaths(router, VIP_ROUTE.ipv4, undefined, 20_000);
      await speaker.untilBfd('tor');
      await speaker.daemon.stop('SIGKILL');
      await untilGone(router, VIP_ROUTE.ipv4, 2_000);
      speaker.start();
      await speaker.untilBfd('tor', 'Up', 20_000);
      await untilPaths(router, VIP_ROUTE.ipv4, undefined, 20_000);
    },
  );

  it.each([
    ['FRR', startFrrOn, {}],
    // with `bfd on` BIRD drops them, whatever we say and when
    ['BIRD', startBirdOn, { bfd: 'bfd graceful;' }],
  ] as const)('we restart with graceful restart: %s keeps our routes all the while', async (_, start, more) => {
    const router = await start(lab, ROUTE, { gracefulRestart: true, ...more });
    const speaker = speakerWith({}, [], { enableGracefulRestart: true });
    await untilPaths(router, VIP_ROUTE.ipv4, undefined, 20_000);
    await speaker.untilBfd('tor');
    // FRR begins its BFD session anew when BGP is up, and resets BGP for that
    await until('it has settled', async () => Date.now() - Date.parse((await speaker.peer('tor')).since) > 3_000);
    await until('the kernel has it', () => gateways(lab, 'r', VIP_ROUTE.ipv4).length === 1);
    const changes = lab.spawn('ip-monitor', 'r', ['ip', 'monitor', 'route']);
    expect(await speaker.daemon.stop('SIGTERM', 8_000)).toBe(0);
    await throughout('the route stays', 2_000, async () => (await router.paths(VIP_ROUTE.ipv4)).length === 1);
    speaker.start();
    await untilPaths(router, VIP_ROUTE.ipv4, ([path]) => path?.stale === false, 30_000);
    expect(changes.log()).not.toContain('Deleted 203.0.113.10');
  });

  it('echoes with FRR come back on both sides, and their loss takes the session down', async () => {
    const lines = ['echo-mode', 'echo transmit-interval 60', 'echo receive-interval 60'];
    const router = await startFrrOn(lab, ROUTE, { lines });
    // not with addresses of IPv6
    const speaker = speakerWith({ echoMode: true, echoInterval: 60 }, [pool(['203.0.113.0/24'])]);
    await untilUp(router, US);
    await speaker.untilBfd('tor');
    await until('ours come back', async () => ((await speaker.bfd('tor')).counters?.echoesReceived ?? 0) > 20);
    const came = await until("FRR's come back", async () => {
      const { 'echo-packet-input': input = 0 } = await router.bfdCounters(US);
      return input > 20 && input;
    });
    expect(came).toBeGreaterThan(20);
    await throughout('up', 2_000, async () => (await speaker.bfd('tor')).state === 'Up');
    // the router passes no echo on, and nothing else changes
    lab.run('r', [
      'nft',
      'add table inet cut; add chain inet cut pass { type filter hook forward priority 0; }; add rule inet cut pass udp dport 3785 drop',
    ]);
    try {
      await until('the session fails', async () => ((await speaker.bfd('tor')).counters?.downEvents ?? 0) > 0, 3_000);
    } finally {
      lab.run('r', ['nft', 'delete table inet cut']);
    }
  });

  it('two of ours are strict with each other: no session before BFD is up', async () => {
    const listening = startSpeaker(
      lab,
      'n2',
      [bfdProfile('fast'), bgpPeer('tor', { ...peerSpec(ROUTE), myASN: 64512, peerASN: 64501, peerAddress: US })],
      ['--bgp-listen', `${node(2).ipv4}:179`],
    );
    // nothing of BFD passes at first
    lab.run('n1', [
      'nft',
      'add table inet cut; add chain inet cut in { type filter hook input priority 0; }; add rule inet cut in udp dport 3784 drop',
    ]);
    const speaker = speakerWith({}, [], { peerAddress: node(2).ipv4 });
    const waits = await until('it waits', async () => {
      const { bfd } = await speaker.peer('tor');
      return bfd?.bgp.waitsForBfd && bfd;
    });
    expect(waits.bgp.strict).toBe(true);
    await throughout('there is no session', 2_000, async () => !(await established(speaker)));
    lab.run('n1', ['nft', 'delete table inet cut']);
    await speaker.untilBfd('tor');
    await speaker.untilEstablished('tor', 3_000);
    await listening.untilEstablished('tor', 3_000);
  });
});
