// Names that dashboards and greps rely on, and the words for what happens.

import { describe, expect, it } from 'vitest';
import type { PeerConfig } from '../../src/bgp/peer.ts';
import type { Ip } from '../../src/net/address.ts';
import { Secret } from '../../src/net/secret.ts';
import { type Line, lineOfReport, linesOfPlan, peerLabel } from '../../src/observe/log.ts';
import { STANDALONE_METRICS } from '../../src/observe/metrics.ts';
import { datesFrom } from '../../src/observe/state.ts';
import type { RefusalReason } from '../../src/plan/explain.ts';
import type { Plan, ServicePlan } from '../../src/plan/plan.ts';

const ip = (text: string) => text as Ip;
const peer: PeerConfig = {
  ...{ name: 'tor', address: ip('2001:db8::1'), port: 179, localAs: 64513, remoteAs: 64512 },
  ...{ fallbackRouterId: ip('192.0.2.9'), holdTimeMs: 90_000, connectRetryMs: 120_000, families: ['ipv6'] },
  ...{ md5: new Secret('hidden'), ebgpMultiHop: false, gracefulRestart: false, passive: false, keep: false },
  warnings: [],
};
const named = (name: string) => (name === 'tor' ? peer : undefined);

/** MetalLB's metrics of BGP and allocator, transcribed from its documentation, that a process without FRR can have. */
const METALLB = [
  'metallb_allocator_addresses_total',
  'metallb_allocator_ipv4_addresses_total',
  'metallb_allocator_ipv6_addresses_total',
  'metallb_allocator_addresses_in_use_total',
  'metallb_allocator_ipv4_addresses_in_use_total',
  'metallb_allocator_ipv6_addresses_in_use_total',
  'metallb_k8s_client_updates_total',
  'metallb_k8s_client_update_errors_total',
  'metallb_k8s_client_config_loaded_bool',
  'metallb_k8s_client_config_stale_bool',
  'metallb_speaker_announced',
  'metallb_bgp_session_up',
  'metallb_bgp_updates_total',
  'metallb_bgp_announced_prefixes_total',
  'metallb_bgp_pending_prefixes_total',
  'metallb_bgp_opens_sent',
  'metallb_bgp_opens_received',
  'metallb_bgp_notifications_sent',
  'metallb_bgp_updates_total_received',
  'metallb_bgp_keepalives_sent',
  'metallb_bgp_keepalives_received',
  'metallb_bgp_route_refresh_sent',
  'metallb_bgp_total_sent',
  'metallb_bgp_total_received',
  'metallb_bgp_received_prefixes_total',
  'metallb_bfd_session_up',
  'metallb_bfd_control_packet_input',
  'metallb_bfd_control_packet_output',
  'metallb_bfd_echo_packet_input',
  'metallb_bfd_echo_packet_output',
  'metallb_bfd_session_up_events',
  'metallb_bfd_session_down_events',
  'metallb_bfd_zebra_notifications',
  'metallb_layer2_requests_received',
  'metallb_layer2_responses_sent',
  'metallb_layer2_gratuitous_sent',
];

describe('metrics', () => {
  it('have every name that MetalLB has, and ours under our own prefix', () => {
    const names = STANDALONE_METRICS.map(({ name }) => name);
    expect(METALLB.filter((name) => !names.includes(name))).toEqual([]);
    expect(names.filter((name) => !METALLB.includes(name) && !name.startsWith('fairway_'))).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
  });

  it('call a peer as MetalLB does', () => {
    expect([peerLabel(peer), peerLabel({ address: ip('192.0.2.1'), port: 1790 })]).toEqual([
      '[2001:db8::1]:179',
      '192.0.2.1:1790',
    ]);
    // by its interface, whoever is there
    const found = { ...peer, interface: 'eth0', address: ip('fe80::1') };
    expect(peerLabel(found)).toBe('eth0');
  });
});

describe('log lines', () => {
  it('name the event, both ASes and the reason, and no secret', () => {
    const line = lineOfReport(
      {
        ...{ report: 'peer-down', peer: 'tor', why: 'sent 4/0 Hold Timer Expired: silence' },
        sent: { code: 4, subcode: 0, data: new Uint8Array() },
      },
      named,
    );
    expect(line).toEqual({
      level: 'warn',
      msg: 'BGP session down',
      fields: {
        ...{ event: 'sessionDown', peer: '[2001:db8::1]:179', peerName: 'tor', localASN: 64513, peerASN: 64512 },
        ...{ error: 'sent 4/0 Hold Timer Expired: silence', notificationSent: '4/0 Hold Timer Expired' },
      },
    });
    expect(JSON.stringify(line)).not.toContain('hidden');
    const message = { report: 'peer-message', peer: 'tor', direction: 'sent', type: 'UPDATE', count: 1 } as const;
    expect(lineOfReport(message, named)).toBeUndefined();
  });

  const announced: ServicePlan = {
    ...{ ips: [ip('192.0.2.1')], pool: 'main' },
    bgp: { announced: [{ prefix: '192.0.2.1/32' as never, peers: ['tor'] }] },
    layer2: { announced: [] },
    candidacies: [],
  };
  const withheld: ServicePlan = {
    ...announced,
    bgp: { withheld: { reason: 'noEndpoints', message: 'no endpoint can serve' } },
  };
  const plan = (services: Readonly<Record<string, ServicePlan>>, peers: readonly PeerConfig[] = [peer]): Plan => ({
    ...{ node: 'n1', peers, notServed: [], bfd: new Map(), routes: new Map(), layer2: [], candidacies: [] },
    services: new Map(Object.entries(services)),
  });
  const events = (lines: Iterable<Line>) =>
    [...lines].map(({ fields }) => `${fields['event']} ${fields['service'] ?? ''}`.trim());

  it('tell what changed between two plans, and nothing else', () => {
    const first = plan({ 'a/b': announced, 'a/c': withheld });
    expect(events(linesOfPlan(undefined, first))).toEqual([
      'peerAdded',
      'serviceAnnounced a/b',
      'serviceNotAnnounced a/c',
    ]);
    expect(events(linesOfPlan(first, first))).toEqual([]);
    // the same things made anew
    expect(events(linesOfPlan(first, plan({ 'a/b': { ...announced }, 'a/c': { ...withheld } })))).toEqual([]);
    const swapped = [...linesOfPlan(first, plan({ 'a/b': withheld, 'a/c': announced }))];
    expect(events(swapped)).toEqual(['serviceWithdrawn a/b', 'serviceAnnounced a/c']);
    expect(swapped[0]?.fields).toMatchObject({ reason: 'noEndpoints', ips: ['192.0.2.1'], protocol: 'bgp' });
    expect(events(linesOfPlan(first, plan({}, [])))).toEqual(['peerRemoved', 'serviceWithdrawn a/b']);
  });

  it('say nothing of BGP where only L2Advertisements select a Service', () => {
    const no = (reason: RefusalReason) => ({ withheld: { reason, message: 'why' } });
    const left = { ...announced, bgp: no('notOwner') };
    const unselected = { ...left, layer2: no('noMatchingAdvertisement') };
    for (const reason of ['notOwner', 'noMatchingAdvertisement'] as const) {
      const byLayer2 = { ...announced, bgp: no(reason) };
      expect(events(linesOfPlan(undefined, plan({ 'a/b': byLayer2 }, [])))).toEqual([]);
      expect(events(linesOfPlan(undefined, plan({ 'a/b': { ...byLayer2, layer2: no('notOwner') } }, [])))).toEqual([]);
    }
    // nobody selects it, from the start or from now on: said once
    for (const before of [undefined, plan({ 'a/b': left }, [])]) {
      const after = plan({ 'a/b': unselected }, []);
      expect(events(linesOfPlan(before, after))).toEqual(['serviceNotAnnounced a/b']);
      expect(events(linesOfPlan(after, plan({ 'a/b': { ...unselected } }, [])))).toEqual([]);
    }
    // a BGPAdvertisement selects it, and something else is in the way
    const hindered = plan({ 'a/b': { ...left, bgp: no('noLocalEndpoints') } }, []);
    expect(events(linesOfPlan(plan({ 'a/b': left }, []), hindered))).toEqual(['serviceNotAnnounced a/b']);
    expect(events(linesOfPlan(plan({ 'a/b': announced }, []), plan({ 'a/b': left }, [])))).toEqual([
      'serviceWithdrawn a/b',
    ]);
  });

  it('warn of what a peer asks for in vain, once', () => {
    const before = plan({});
    const after = plan({}, [{ ...peer, warnings: ['bfdProfile x is read but not served yet'] }]);
    const lines = [...linesOfPlan(before, after)];
    expect(lines.map(({ level, fields }) => [level, fields['error']])).toEqual([
      ['warn', 'bfdProfile x is read but not served yet'],
    ]);
    expect([...linesOfPlan(after, after)]).toEqual([]);
    const unserved = { peer: 'link', because: 'peerNotConnected', text: 'interface' } as const;
    expect([...linesOfPlan(before, { ...before, notServed: [unserved] })][0]?.fields).toMatchObject({
      ...{ peerName: 'link', reason: 'peerNotConnected' },
    });
  });
});

describe('dates', () => {
  it('are the same for the same instant', () => {
    const dates = datesFrom(Date.UTC(2026, 0, 2));
    expect([dates(0), dates(1_500)]).toEqual(['2026-01-02T00:00:00.000Z', '2026-01-02T00:00:01.500Z']);
  });
});
