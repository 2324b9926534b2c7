// The node's peers as one: nothing before the first plan, each peer by its name, connections to their owners, strangers
// refused before anything is kept for them, and leaving.

import { describe, expect, it } from 'vitest';
import { NO_CAPABILITIES } from '../../src/bgp/capability.ts';
import { encodeKeepalive } from '../../src/bgp/message.ts';
import { encodeOpen } from '../../src/bgp/open.ts';
import type { PeerConfig } from '../../src/bgp/peer.ts';
import type { Wanted } from '../../src/bgp/rib.ts';
import type { Ip } from '../../src/net/address.ts';
import { OFF } from '../../src/net/machine.ts';
import { Secret } from '../../src/net/secret.ts';
import {
  createSpeaker,
  dueAt,
  heldBack,
  isDone,
  type SpeakerEffect,
  type SpeakerEvent,
  step,
  viewPeers,
} from '../../src/speaker.ts';
import { CONFIG, messagesOf, routes } from './stage.ts';

const LISTEN = [{ address: '192.0.2.10' as Ip, port: 179 }];

function tor(name: string, last: number, more: Partial<PeerConfig> = {}): PeerConfig {
  return { ...CONFIG, name, address: `192.0.2.${last}` as Ip, ...more };
}

class Scene {
  readonly state = createSpeaker();
  now = 0;

  on(event: SpeakerEvent): readonly SpeakerEffect[] {
    const effects = step(this.state, event, { now: this.now, random: 0.5 })[1];
    // the kernel takes everything at once
    const more = effects.flatMap((effect) => {
      if (!('do' in effect) || effect.do !== 'tcp-send') return [];
      const { connection, bytes } = effect;
      return this.on({ on: 'tcp-drained', connection, bytes: bytes.length, left: 0 });
    });
    return [...effects, ...more];
  }

  plan(peers: readonly PeerConfig[], wanted: Record<string, Wanted> = {}, listen: typeof LISTEN = []) {
    return this.on({ on: 'plan', plan: { peers, routes: new Map(Object.entries(wanted)) }, listen });
  }

  accept(connection: string, from: string, device?: string) {
    const local = { address: '192.0.2.10' as Ip, port: 179 };
    const remote = { address: from as Ip, port: 5_000 };
    return this.on({ on: 'tcp-accepted', connection, local, remote, ...(device === undefined ? {} : { device }) });
  }

  /** Dialled, opened, Established. */
  establish(connection: string, last: number): readonly SpeakerEffect[] {
    const local = { address: '192.0.2.10' as Ip, port: 40_000 };
    const remote = { address: `192.0.2.${last}` as Ip, port: 179 };
    this.on({ on: 'tcp-opened', connection, local, remote });
    const capabilities = { ...NO_CAPABILITIES, fourOctetAs: 64_512, families: ['ipv4', 'ipv6'] as const };
    const open = { as: 64_512, holdTimeSeconds: 90, routerId: remote.address, capabilities };
    this.on({ on: 'tcp-data', connection, bytes: encodeOpen(open) });
    return this.on({ on: 'tcp-data', connection, bytes: encodeKeepalive() });
  }
}

const dials = (effects: readonly SpeakerEffect[]) =>
  effects.flatMap((effect) => ('do' in effect && effect.do === 'tcp-connect' ? [effect.connection] : []));
const sent = (effects: readonly SpeakerEffect[]) =>
  effects.flatMap((effect) => ('do' in effect && effect.do === 'tcp-send' ? messagesOf(effect.bytes) : []));
const closes = (effects: readonly SpeakerEffect[]) =>
  effects.flatMap((effect) =>
    'do' in effect && effect.do === 'tcp-close' ? [`${effect.how} ${effect.connection}`] : [],
  );

describe('before the first plan', () => {
  it('nothing is dialled, accepted or due', () => {
    const scene = new Scene();
    expect(dueAt(scene.state)).toBe(OFF);
    expect(scene.on({ on: 'tick' })).toEqual([]);
    expect(closes(scene.accept('in#1', '192.0.2.1'))).toEqual(['rst in#1']);
  });
});

describe('a plan', () => {
  it('starts its peers, each with what it is to be told', () => {
    const scene = new Scene();
    const wanted = { a: routes(['198.51.100.1/32']), b: routes(['198.51.100.2/32']) };
    expect(dials(scene.plan([tor('a', 1), tor('b', 2)], wanted))).toEqual(['a#1.1', 'b#2.1']);
    expect(sent(scene.establish('a#1.1', 1))).toContain('UPDATE +198.51.100.1/32');
    expect(sent(scene.establish('b#2.1', 2))).toContain('UPDATE +198.51.100.2/32');
  });

  it('that drops a peer leaves it with 6/3 and no other', () => {
    const scene = new Scene();
    scene.plan([tor('a', 1), tor('b', 2)]);
    scene.establish('a#1.1', 1);
    scene.establish('b#2.1', 2);
    const effects = scene.plan([tor('b', 2)]);
    expect(sent(effects)).toEqual(['NOTIFICATION 6/3']);
    expect(closes(effects)).toEqual(['fin a#1.1']);
    expect(viewPeers(scene.state).map(({ name, state }) => [name, state])).toEqual([['b', 'Established']]);
    // and one that comes back under its name is another peer, while the old connection is still closing
    expect(dials(scene.plan([tor('a', 1), tor('b', 2)]))).toEqual(['a#3.1']);
    scene.on({ on: 'tcp-closed', connection: 'a#1.1', why: { because: 'fin' } });
    expect(viewPeers(scene.state).map(({ name, state }) => [name, state])).toEqual([
      ['a', 'Connect'],
      ['b', 'Established'],
    ]);
    expect(scene.state.leaving.size).toBe(0);
  });

  it('with a changed AS resets that peer alone; with changed routes nothing is reset', () => {
    const scene = new Scene();
    scene.plan([tor('a', 1), tor('b', 2)]);
    scene.establish('a#1.1', 1);
    scene.establish('b#2.1', 2);
    scene.now = 1_000;
    const effects = scene.plan([tor('a', 1, { localAs: 64_999 }), tor('b', 2)], { b: routes(['198.51.100.2/32']) });
    expect(sent(effects)).toEqual(['NOTIFICATION 6/6', 'UPDATE +198.51.100.2/32']);
    expect(closes(effects)).toEqual(['fin a#1.1']);
  });

  it('that says the same again does nothing', () => {
    const scene = new Scene();
    scene.plan([tor('a', 1)], { a: routes(['198.51.100.1/32']) }, LISTEN);
    scene.establish('a#1.1', 1);
    scene.now = 1_000;
    expect(scene.plan([tor('a', 1)], { a: routes(['198.51.100.1/32']) }, LISTEN)).toEqual([]);
  });
});

describe('listening', () => {
  it('is asked for with one rule a peer, again only when something changed, and not without addresses', () => {
    const scene = new Scene();
    expect(scene.plan([tor('a', 1)]).some((effect) => 'do' in effect && effect.do === 'tcp-listen')).toBe(false);
    const md5 = new Secret('s3cret');
    const [first] = scene
      .plan([tor('a', 1, { md5, ttlSecurity: 2 })], {}, LISTEN)
      .filter((effect) => 'do' in effect && effect.do === 'tcp-listen');
    expect(first).toEqual({
      do: 'tcp-listen',
      on: LISTEN,
      accept: [{ from: '192.0.2.1', options: { md5, ttl: 255, minTtl: 254 } }],
    });
    const again = scene.plan([tor('a', 1, { md5: new Secret('other'), ttlSecurity: 2 })], {}, LISTEN);
    expect(again.filter((effect) => 'do' in effect && effect.do === 'tcp-listen')).toHaveLength(1);
  });

  it('refuses strangers with a reset and says so', () => {
    const scene = new Scene();
    scene.plan([tor('a', 1)], {}, LISTEN);
    const effects = scene.accept('in#1', '203.0.113.66');
    expect(effects).toEqual([
      { do: 'tcp-close', connection: 'in#1', how: 'rst' },
      {
        report: 'connection-refused',
        from: { address: '203.0.113.66', port: 5_000 },
        why: 'no peer with this address and device is configured',
      },
    ]);
    expect(scene.on({ on: 'tcp-data', connection: 'in#1', bytes: encodeKeepalive() })).toEqual([]);
    expect(sent(scene.accept('in#2', '192.0.2.1'))).toEqual(['OPEN']);
  });

  it('reports an address that cannot be listened on', () => {
    const scene = new Scene();
    const at = { address: '192.0.2.10' as Ip, port: 179 };
    const error = { code: 'EACCES', call: 'bind', text: 'permission denied' };
    expect(scene.on({ on: 'tcp-listening', at, error })).toEqual([
      { report: 'listening', at, error: 'bind: EACCES: permission denied' },
    ]);
  });
});

describe('events of connections that nobody owns', () => {
  it('are ignored', () => {
    const scene = new Scene();
    scene.plan([tor('a', 1)]);
    for (const event of [
      { on: 'tcp-data', connection: 'a#9.9', bytes: encodeKeepalive() },
      { on: 'tcp-drained', connection: 'a#9.9', bytes: 1, left: 0 },
      { on: 'tcp-closed', connection: 'a#9.9', why: { because: 'fin' } },
    ] as const) {
      expect(scene.on(event)).toEqual([]);
    }
  });
});

describe('leaving', () => {
  it('ends every session with 6/2 and a text, and is done when all is closed', () => {
    const scene = new Scene();
    scene.plan([tor('a', 1), tor('b', 2)], {}, LISTEN);
    scene.establish('a#1.1', 1);
    const effects = scene.on({ on: 'leave' });
    const text = Buffer.from('speaker is shutting down');
    expect(sent(effects)).toEqual([`NOTIFICATION 6/2 ${text.length.toString(16)}${text.toString('hex')}`]);
    expect(effects).toContainEqual({ do: 'tcp-listen', on: [], accept: [] });
    expect(isDone(scene.state)).toBe(false);
    for (const connection of ['a#1.1', 'b#2.1']) scene.on({ on: 'tcp-closed', connection, why: { because: 'fin' } });
    expect(isDone(scene.state)).toBe(true);
    expect(dueAt(scene.state)).toBe(OFF);
    expect(scene.plan([tor('a', 1)])).toEqual([]);
    expect(closes(scene.accept('in#1', '192.0.2.1'))).toEqual(['rst in#1']);
  });
});

describe('the view', () => {
  it('is JSON without secrets, and shows what was said, not what is wanted', () => {
    const scene = new Scene();
    scene.plan([tor('a', 1, { md5: new Secret('hunter2'), warnings: ['bfdProfile has no effect'] })], {
      a: routes(['198.51.100.1/32']),
    });
    const [before] = viewPeers(scene.state);
    expect(before).toMatchObject({ state: 'Connect', announced: [], local: undefined, remote: undefined });
    expect(before?.counters).toMatchObject({ announced: 0, wanted: 1 });
    scene.now = 250;
    scene.establish('a#1.1', 1);
    const [view] = viewPeers(scene.state);
    expect(view).toMatchObject({
      name: 'a',
      address: '192.0.2.1',
      port: 179,
      state: 'Established',
      since: 250,
      local: { address: '192.0.2.10', as: 64_513, routerId: '192.0.2.10' },
      remote: { as: 64_512, routerId: '192.0.2.1' },
      holdTimeMs: 90_000,
      families: ['ipv4', 'ipv6'],
      warnings: ['bfdProfile has no effect'],
      announced: [{ prefix: '198.51.100.1/32', path: { nextHop: '192.0.2.10' } }],
      // one of a route, two End-of-RIB
      counters: { sent: { OPEN: 1, KEEPALIVE: 1, UPDATE: 3 }, received: { OPEN: 1, KEEPALIVE: 1 } },
    });
    expect(JSON.stringify(view)).not.toContain('hunter2');
    expect(viewPeers(scene.state, false)[0]?.announced).toEqual([]);
  });
});

describe('routers with one address in several VRFs', () => {
  it.each([
    [undefined, 'plain'],
    ['vrf-red', 'red'],
    ['vrf-blue', 'blue'],
  ] as const)('a connection accepted on %s is that of %s', (device, name) => {
    const scene = new Scene();
    const peers = [tor('plain', 1), tor('red', 1, { device: 'vrf-red' }), tor('blue', 1, { device: 'vrf-blue' })];
    scene.plan(peers, {}, LISTEN);
    expect(sent(scene.accept('in#1', '192.0.2.1', device))).toEqual(['OPEN']);
    expect(scene.state.owners.get('in#1')?.config.name).toBe(name);
  });

  it('a connection in a VRF without such a peer is refused', () => {
    const scene = new Scene();
    scene.plan([tor('red', 1, { device: 'vrf-red' })], {}, LISTEN);
    expect(closes(scene.accept('in#1', '192.0.2.1'))).toEqual(['rst in#1']);
    expect(closes(scene.accept('in#2', '192.0.2.1', 'vrf-blue'))).toEqual(['rst in#2']);
  });
});

describe('a prefix that flaps', () => {
  const [LASTING, FLAPPING] = ['203.0.113.1/32', '203.0.113.9/32'];
  const updates = (effects: readonly SpeakerEffect[]) =>
    sent(effects).filter((message) => message.startsWith('UPDATE')).length;

  it('is withdrawn at once and told again when its pause is over, not before', () => {
    const scene = new Scene();
    const peers = [tor('a', 1)];
    const [dialled = ''] = dials(scene.plan(peers, { a: routes([LASTING, FLAPPING]) }));
    scene.establish(dialled, 1);
    scene.now = 60_000;
    scene.on({ on: 'tick' });
    scene.plan(peers, { a: routes([LASTING]) });
    scene.now += 10;
    scene.on({ on: 'tick' });
    const said = () => viewPeers(scene.state)[0]?.announced.map(({ prefix }) => prefix);
    expect(said()).toEqual([LASTING]);
    scene.now += 100;
    expect(updates(scene.plan(peers, { a: routes([LASTING, FLAPPING]) }))).toBe(0);
    expect([...heldBack(scene.state)]).toEqual([[FLAPPING, 61_000]]);
    expect(dueAt(scene.state)).toBe(61_000);
    scene.now = 60_999;
    expect(updates(scene.on({ on: 'tick' }))).toBe(0);
    scene.now = 61_000;
    expect(updates(scene.on({ on: 'tick' }))).toBe(1);
    expect(said()).toEqual([LASTING, FLAPPING]);
    expect(heldBack(scene.state).size).toBe(0);
  });
});
