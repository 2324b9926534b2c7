// What state, metrics and log tell of the packet thread itself: how old its words are, and what the kernel refused it.

import { describe, expect, it } from 'vitest';
import type { LinksView } from '../../src/links.ts';
import type { Ip } from '../../src/net/address.ts';
import { lineOfBfdReport } from '../../src/observe/bfd-log.ts';
import { STANDALONE_METRICS } from '../../src/observe/metrics.ts';
import { PACKET_METRICS } from '../../src/observe/packet-metrics.ts';
import { packetsJson } from '../../src/observe/packet-state.ts';
import { SPEAKER_METRICS } from '../../src/observe/speaker-metrics.ts';
import { datesFrom } from '../../src/observe/state.ts';

const dates = datesFrom(Date.UTC(2026, 0, 1));
const error = { call: 'setsockopt', code: 'ENOBUFS', text: 'eth0: No buffer space available' };
const LINKS: LinksView = {
  ...{ sessions: [], bfdDrops: {}, lans: [], answers: {}, speakerDrops: {}, neighbors: [], neighborDrops: {} },
  failures: [
    { effect: 'udp-send', code: 'ENETUNREACH', count: 3 },
    { effect: 'group-join', code: 'ENOBUFS', count: 1 },
  ],
  broken: [{ socket: 'eth0', error }],
};

describe('the state of the packet thread', () => {
  it('says how old it is, and that it is too old', () => {
    expect(packetsJson(undefined, undefined, 9_000, dates)).toBeNull();
    const fresh = packetsJson(LINKS, 8_900, 9_000, dates);
    expect(fresh).toMatchObject({ asOf: '2026-01-01T00:00:08.900Z', ageMs: 100, problem: '' });
    const old = packetsJson(LINKS, 3_000, 9_000, dates);
    expect(old).toMatchObject({ ageMs: 6_000, problem: expect.stringMatching(/6000 ms/) });
  });

  it('shows whom it found on which interface', () => {
    const neighbors = [{ link: 'eth0', address: 'fe80::1' as Ip, heardAtMs: 8_000 }, { link: 'eth1' }];
    expect(packetsJson({ ...LINKS, neighbors, neighborDrops: { hopLimit: 2 } }, 8_900, 9_000, dates)).toMatchObject({
      neighbors: [
        { interface: 'eth0', address: 'fe80::1', heardAt: '2026-01-01T00:00:08.000Z' },
        { interface: 'eth1', address: '', heardAt: null },
      ],
      neighborDrops: { hopLimit: 2 },
    });
  });

  it('shows what the kernel refuses it', () => {
    expect(packetsJson(LINKS, 8_900, 9_000, dates)).toMatchObject({
      broken: [{ socket: 'eth0', error: 'setsockopt: ENOBUFS: eth0: No buffer space available' }],
      failures: LINKS.failures,
    });
  });
});

describe('what the kernel refused', () => {
  it('is counted by what was asked and its error, in both tables', () => {
    const [row] = PACKET_METRICS;
    expect(row?.read({ links: LINKS })).toEqual([
      { labels: { effect: 'udp-send', code: 'ENETUNREACH' }, value: 3 },
      { labels: { effect: 'group-join', code: 'ENOBUFS' }, value: 1 },
    ]);
    expect(row?.read({ links: undefined })).toEqual([]);
    for (const table of [SPEAKER_METRICS, STANDALONE_METRICS])
      expect(table.filter(({ name }) => name === 'fairway_packet_failures_total')).toHaveLength(1);
  });

  it('is a line of the log', () => {
    expect(lineOfBfdReport({ report: 'refused', effect: 'group-join', about: 'eth0', error }, '')).toMatchObject({
      level: 'warn',
      fields: { op: 'group-join', about: 'eth0', error: 'setsockopt: ENOBUFS: eth0: No buffer space available' },
    });
  });
});
