// What is seen of BFD: state, metrics and log lines, from views and reports. A session is driven by hand to where it is.

import { describe, expect, it } from 'vitest';
import { decode, encode } from '../../src/bfd/packet.ts';
import { startSession, step } from '../../src/bfd/session.ts';
import { viewSession } from '../../src/bfd/view.ts';
import { createPeer } from '../../src/bgp/peer-state.ts';
import { viewPeer } from '../../src/bgp/view.ts';
import type { LinksReport, LinksView } from '../../src/links.ts';
import { createLinks, viewLinks } from '../../src/links.ts';
import type { Ip } from '../../src/net/address.ts';
import { lineOfBfdReport } from '../../src/observe/bfd-log.ts';
import { BFD_METRICS } from '../../src/observe/bfd-metrics.ts';
import { bfdJson } from '../../src/observe/bfd-state.ts';
import type { Observed } from '../../src/observe/metrics.ts';
import { CONFIG } from '../fsm/stage.ts';

const PARAMETERS = {
  ...{ detectMult: 3, desiredMinTxMs: 95, requiredMinRxMs: 93, slowTxMs: 1_000 },
  ...{ passive: false, minTtl: 255, keys: [] },
};

/** Up with a router that wants 400 ms and has a multiplier of 5; one packet came with a TTL of 254. */
function upSession() {
  let session = startSession('tor', 17, PARAMETERS, { now: 1_000, random: 0.5 });
  const hear = (state: 'Down' | 'Up', ttl: number) => {
    const told = { diagnostic: 0, state, poll: false, final: false, controlPlaneIndependent: true, demand: false };
    const ids = { detectMult: 5, myDiscriminator: 99, yourDiscriminator: state === 'Up' ? 17 : 0 };
    const bytes = encode({ ...told, ...ids, desiredMinTxMs: 400, requiredMinRxMs: 400, requiredMinEchoRxMs: 0 });
    const decoded = decode(bytes);
    if (!('packet' in decoded)) throw new Error(decoded.drop);
    [session] = step(session, { on: 'packet', packet: decoded.packet, bytes, ttl }, { now: 2_000, random: 0.5 });
  };
  hear('Down', 255);
  hear('Up', 254);
  hear('Up', 255);
  return session;
}

const LINKS: LinksView = {
  ...viewLinks(createLinks(1), 0),
  sessions: [
    {
      ...{ name: 'tor', remote: '192.0.2.1' as Ip, local: '192.0.2.10' as Ip, link: 'eth0', hops: 'single' },
      ...{ failures: 2, heldUntilMs: 9_000, session: viewSession(upSession()) },
    },
    { name: 'spine', remote: '192.0.2.2' as Ip, hops: 'single', failures: 0, waiting: 'link' },
  ],
  bfdDrops: { 'no-session': 4 },
};
const peer = (name: string, address: string, more: object = {}) =>
  viewPeer(createPeer({ ...CONFIG, name, address: address as Ip, bfd: true, ...more }, 1, 0), false);
const TOR = peer('tor', '192.0.2.1');
const SPINE = peer('spine', '192.0.2.2', { device: 'red' });
const PLAIN = viewPeer(createPeer({ ...CONFIG, name: 'plain' }, 1, 0), false);
const dates = (at: number) => `+${at}`;

describe('state', () => {
  it('shows the session, what the router told, and what BGP makes of it', () => {
    expect(bfdJson(TOR, LINKS.sessions[0], dates)).toMatchObject({
      ...{ state: 'Up', since: '+2000', hops: 'single', remoteAddress: '192.0.2.1', localAddress: '192.0.2.10' },
      ...{ link: 'eth0', waiting: '', failuresOfLastMinute: 2, heldUntil: '+9000', detectMult: 3 },
      // RFC 5880 §6.8.4: the router's multiplier × the slower of its pace and what we can take
      detectionTimeMs: 2_000,
      remote: { state: 'Up', discriminator: 99, detectMult: 5, desiredMinTxMs: 400, controlPlaneIndependent: true },
      bgp: { strict: false, waitsForBfd: false },
      counters: { received: 2, drops: { ttl: 1 } },
    });
  });

  it('says what a session waits for, and that one is not known yet', () => {
    expect(bfdJson(SPINE, LINKS.sessions[1], dates)).toMatchObject({
      ...{ state: 'Down', waiting: 'no interface is on a subnet of the peer', remote: null, counters: null },
    });
    expect(bfdJson(SPINE, undefined, dates)).toMatchObject({ state: 'Down', hops: null, waiting: '' });
    expect(bfdJson(PLAIN, undefined, dates)).toBeNull();
  });

  it('has no key in it', () => {
    expect(JSON.stringify(bfdJson(TOR, LINKS.sessions[0], dates))).not.toMatch(/secret|key/i);
  });
});

describe('metrics', () => {
  const samples = (seen: Pick<Observed, 'peers' | 'links'> & { readonly vrf?: 'default' }) =>
    new Map(
      BFD_METRICS.map(({ name, read }) => [
        name,
        read({
          ...{
            node: 'n1',
            plan: undefined,
            configuration: { loaded: true, stale: false },
            listening: new Map(),
            held: 0,
          },
          counts: { updates: 0, updateErrors: 0, connectionsRefused: 0 },
          ...seen,
        }),
      ]),
    );
  const seen = samples({ peers: [TOR, SPINE, PLAIN], links: LINKS });

  it('name the peer by its address alone, and the VRF only where there is one', () => {
    expect(seen.get('metallb_bfd_session_up')).toEqual([
      { labels: { peer: '192.0.2.1' }, value: 1 },
      { labels: { peer: '192.0.2.2', vrf: 'red' }, value: 0 },
    ]);
    const frr = samples({ peers: [TOR], links: LINKS, vrf: 'default' });
    expect(frr.get('metallb_bfd_session_up')?.[0]?.labels).toEqual({ peer: '192.0.2.1', vrf: 'default' });
  });

  it('count packets and changes', () => {
    const first = (name: string) => seen.get(`metallb_bfd_${name}`)?.[0]?.value;
    expect(['control_packet_input', 'session_up_events', 'session_down_events'].map(first)).toEqual([2, 1, 0]);
    expect(first('zebra_notifications')).toBe(1);
    expect(first('control_packet_output')).toBe(LINKS.sessions[0]?.session?.counters.sent);
  });

  it('tell dropped packets by rule, those of nobody among them', () => {
    expect(seen.get('fairway_bfd_packets_dropped_total')).toEqual([
      { labels: { peer: '192.0.2.1', reason: 'ttl' }, value: 1 },
      { labels: { reason: 'no-session' }, value: 4 },
    ]);
    expect(seen.get('fairway_bfd_sessions_held')).toEqual([{ labels: {}, value: 1 }]);
  });

  it('are there, at 0, while there is no thread', () => {
    const none = samples({ peers: [TOR], links: undefined });
    expect(none.get('metallb_bfd_session_up')).toEqual([{ labels: { peer: '192.0.2.1' }, value: 0 }]);
    expect(none.get('fairway_bfd_packets_dropped_total')).toEqual([]);
  });
});

describe('log lines', () => {
  const state = {
    report: 'bfd-state',
    session: 'tor',
    from: 'Up',
    to: 'Down',
    because: 'detection-expired',
    failure: true,
    diagnostic: 1,
    remoteDiagnostic: 0,
    independent: false,
  } as const satisfies LinksReport;
  const line = (report: LinksReport): readonly unknown[] => {
    const said = lineOfBfdReport(report, 'why');
    if (said === undefined) return [];
    const { level, msg, fields } = said;
    return [level, msg, fields['event'] ?? fields['op'], fields['error'] ?? fields['reason']];
  };

  it.each<[LinksReport, readonly unknown[]]>([
    [state, ['warn', 'BFD session down', 'bfdDown', 'why']],
    [{ ...state, from: 'Init', to: 'Up', failure: false }, ['info', 'BFD session up', 'bfdUp', undefined]],
    [{ ...state, failure: false, because: 'peer-admin-down' }, ['info', 'BFD state change', 'bfdState', 'why']],
    [{ ...state, from: 'Down', to: 'Init', failure: false }, ['debug', 'BFD state change', 'bfdState', 'why']],
    [
      { report: 'bfd-waiting', session: 'tor', for: 'vrf' },
      ['warn', 'BFD session cannot run', 'bfd', 'the VRF device is not there'],
    ],
    [{ report: 'bfd-waiting', session: 'tor' }, ['info', 'BFD session can run', 'bfd', undefined]],
    [
      { report: 'bfd-moved', session: 'tor', wasUp: true },
      ['info', 'BFD session begins anew on another path', 'bfdMoved', undefined],
    ],
    [
      { report: 'socket', socket: 's', use: 'bfd', error: { call: 'bind', code: 'EADDRINUSE', text: 'port 3784' } },
      ['error', 'BFD does not work', 'socket', 'bind: EADDRINUSE: port 3784'],
    ],
    [{ report: 'socket', socket: 's', use: 'layer2' }, ['info', 'layer 2 works again', 'socket', undefined]],
    [{ report: 'left' }, []],
  ])('%o', (report, expected) => {
    expect(line(report)).toEqual(expected);
  });
});
