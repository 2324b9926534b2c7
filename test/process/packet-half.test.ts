// The packet thread from main's side: begun only when there is something to do, always told the whole, heard, asked, left.
// The thread is one of the test; io/packet-thread has tests of its own.

import { describe, expect, it, vi } from 'vitest';
import type { BfdSays } from '../../src/bgp/bfd-client.ts';
import type { Layer2Wanted, LinksWanted } from '../../src/links/wanted.ts';
import type { LinksReport } from '../../src/links.ts';
import { createLinks, viewLinks } from '../../src/links.ts';
import type { Ip, Prefix } from '../../src/net/address.ts';
import type { Neighbor } from '../../src/net/neighbor.ts';
import { Secret } from '../../src/net/secret.ts';
import type { BfdSession } from '../../src/plan/bfd.ts';
import { PacketHalf } from '../../src/process/packet-half.ts';

const PROFILE: BfdSession['profile'] = {
  ...{ name: 'fast', receiveIntervalMs: 300, transmitIntervalMs: 300, detectMultiplier: 3, echoIntervalMs: 50 },
  ...{ echoMode: false, passiveMode: false, minimumTtl: 254 },
};
const session = (hops: BfdSession['hops'] = 'single'): BfdSession => ({
  ...{ hops, remote: '192.0.2.1' as Ip, profile: PROFILE },
});
const LAYER2: Layer2Wanted = {
  ...{ node: 'n1', addresses: [], excluded: [] },
  announcements: { framesPerSecond: 500, refreshMs: 60_000 },
};
const VIEW = viewLinks(createLinks(1), 0);

const STATE = {
  ...{ report: 'bfd-state', session: 'tor', from: 'Up', to: 'Down', because: 'detection-expired' },
  ...{ failure: true, diagnostic: 1, remoteDiagnostic: 0, independent: false },
} as const satisfies LinksReport;

class Stage {
  readonly wanted: LinksWanted[] = [];
  readonly said: (readonly [peer: string, says: BfdSays])[] = [];
  readonly neighbors: (readonly [link: string, neighbor: Neighbor])[] = [];
  readonly reports: LinksReport[] = [];
  readonly failures: string[] = [];
  readonly calls: string[] = [];
  begun = 0;
  views = 0;
  subnets: readonly Prefix[] = ['192.0.2.0/24' as Prefix];
  report: (report: LinksReport) => void = () => {};
  answersView = true;
  /** When views are answered. */
  answers: Promise<void> = Promise.resolve();
  readonly half: PacketHalf;

  constructor(fault?: string) {
    this.half = new PacketHalf({
      path: (peer, says) => this.said.push([peer, says]),
      neighbor: (link, neighbor) => this.neighbors.push([link, neighbor]),
      report: (report) => this.reports.push(report),
      failed: (error) => this.failures.push(error),
      subnets: () => this.subnets,
      begin: (report) => {
        this.begun++;
        if (fault !== undefined) throw new Error(fault);
        this.report = report;
        return {
          recent: ['1.0 datagram'],
          want: (wanted) => this.wanted.push(wanted),
          leave: () => {
            this.calls.push('leave');
            setImmediate(() => report({ report: 'left' }));
          },
          view: () => {
            this.views++;
            return this.answersView ? this.answers.then(() => VIEW) : Promise.reject(new Error('ended'));
          },
          end: async () => {
            this.calls.push('end');
          },
        };
      },
    });
  }
}

describe('the thread', () => {
  it('is not begun while there is nothing to do', async () => {
    const { half, ...stage } = new Stage();
    half.wantSessions(new Map());
    half.wantLayer2(undefined);
    await half.look();
    await half.leave();
    expect([stage.begun, half.view, half.recent]).toEqual([0, undefined, []]);
  });

  it('finds the neighbors of links, tells who they are, and then BFD runs with them over the link', () => {
    const stage = new Stage();
    stage.half.wantNeighbors([]);
    expect(stage.begun).toBe(0);
    stage.half.wantNeighbors(['eth0']);
    stage.half.wantSessions(new Map([['tor', { hops: 'single', link: 'eth0', profile: PROFILE }]]));
    expect(stage.wanted.at(-1)).toMatchObject({ neighbors: ['eth0'], sessions: new Map() });
    const neighbor = { is: 'known', address: 'fe80::a' as Ip } as const;
    stage.report({ report: 'neighbor', link: 'eth0', neighbor });
    stage.report({ report: 'neighbor', link: 'eth1', neighbor });
    expect(stage.neighbors).toEqual([['eth0', neighbor]]);
    const wanted = stage.wanted.at(-1)?.sessions.get('tor');
    expect(wanted).toMatchObject({ hops: 'single', remote: 'fe80::a', link: 'eth0' });
    stage.report({ report: 'neighbor', link: 'eth0', neighbor: { is: 'unknown', because: 'interfaceAbsent' } });
    expect(stage.wanted.at(-1)?.sessions.size).toBe(0);
    stage.half.wantNeighbors([]);
    expect(stage.wanted.at(-1)).not.toHaveProperty('neighbors');
  });

  it('is begun once, and always told the whole', () => {
    const stage = new Stage();
    const sessions = new Map([['tor', session()]]);
    stage.half.wantSessions(sessions);
    stage.half.wantLayer2(LAYER2);
    stage.half.wantSessions(new Map());
    stage.half.wantLayer2(undefined);
    const seen = stage.wanted.map((wanted) => [[...wanted.sessions.keys()], wanted.layer2?.node]);
    expect(seen).toEqual([
      [['tor'], undefined],
      [['tor'], 'n1'],
      [[], 'n1'],
      [[], undefined],
    ]);
    expect(stage.begun).toBe(1);
  });

  it('is told nothing when nothing is new', () => {
    const stage = new Stage();
    const sessions = new Map([['tor', session()]]);
    for (let i = 0; i < 3; i++) {
      stage.half.wantSessions(sessions);
      stage.half.wantLayer2(LAYER2);
    }
    expect(stage.wanted).toHaveLength(2);
  });

  it('is told nothing when the same is made anew, and told of a new key', () => {
    const stage = new Stage();
    const keyed = (key: string): ReadonlyMap<string, BfdSession> => {
      const authentication = { type: 'keyed-sha1', keyId: 1, secret: new Secret(key) } as const;
      return new Map([['tor', { ...session(), profile: { ...PROFILE, authentication } }]]);
    };
    for (let i = 0; i < 3; i++) {
      stage.half.wantSessions(keyed('old'));
      stage.half.wantLayer2({ ...LAYER2, announcements: { ...LAYER2.announcements } });
    }
    expect(stage.wanted).toHaveLength(2);
    stage.half.wantSessions(keyed('new'));
    expect(stage.wanted).toHaveLength(3);
    stage.half.wantLayer2({ ...LAYER2, excluded: ['^lo$'] });
    expect(stage.wanted).toHaveLength(4);
  });

  it('that cannot be had is said once, and all else goes on', async () => {
    const stage = new Stage('eventfd: EMFILE');
    stage.half.wantSessions(new Map([['tor', session()]]));
    stage.half.wantLayer2(LAYER2);
    await stage.half.leave();
    expect([stage.failures, stage.begun]).toEqual([['eventfd: EMFILE'], 1]);
  });
});

describe('what it reports', () => {
  const stage = new Stage();
  stage.half.wantSessions(new Map([['tor', session()]]));

  it.each<[LinksReport, BfdSays | undefined]>([
    [STATE, { is: 'down', failure: true, independent: false, why: 'nothing was heard for the detection time' }],
    [
      { ...STATE, because: 'peer-down', remoteDiagnostic: 1, independent: true, heldMs: 2_000 },
      {
        ...{ is: 'down', failure: true, independent: true, heldMs: 2_000 },
        why: 'the peer went down: Control Detection Time Expired',
      },
    ],
    [{ ...STATE, from: 'Init', failure: false }, expect.objectContaining({ is: 'down', failure: false })],
    [{ ...STATE, from: 'Down', to: 'Up', because: 'handshake', failure: false }, { is: 'up' }],
    [{ ...STATE, from: 'Down', to: 'Init', because: 'handshake', failure: false }, undefined],
    [{ ...STATE, because: 'peer-admin-down', failure: false }, { is: 'admin-down' }],
    [{ ...STATE, to: 'AdminDown', because: 'disabled', failure: false }, { is: 'admin-down' }],
    [{ report: 'bfd-moved', session: 'tor', wasUp: true }, { is: 'unknown' }],
    [{ report: 'bfd-waiting', session: 'tor', for: 'link' }, undefined],
    [{ ...STATE, session: 'another' }, undefined],
  ])('%o', (report, says) => {
    stage.said.length = 0;
    stage.report(report);
    expect(stage.said).toEqual(says === undefined ? [] : [['tor', says]]);
    expect(stage.reports.at(-1)).toBe(report);
  });
});

describe('its view', () => {
  it('is kept from the last look, and not asked for at every turn', async () => {
    const stage = new Stage();
    stage.half.wantLayer2(LAYER2);
    await stage.half.look();
    await stage.half.look();
    expect([stage.half.view, stage.views]).toEqual([VIEW, 1]);
  });

  it('is asked for once while it does not come, and taken when it comes at last', async () => {
    vi.useFakeTimers();
    try {
      const stage = new Stage();
      stage.half.wantLayer2(LAYER2);
      const late = Promise.withResolvers<void>();
      stage.answers = late.promise;
      for (let i = 0; i < 3; i++) {
        const looked = stage.half.look();
        await vi.advanceTimersByTimeAsync(1_000);
        await looked;
      }
      expect([stage.half.view, stage.half.viewedAt, stage.views]).toEqual([undefined, undefined, 1]);
      late.resolve();
      await vi.advanceTimersByTimeAsync(0);
      expect([stage.half.view, stage.half.viewedAt]).toEqual([VIEW, performance.now()]);
      await vi.advanceTimersByTimeAsync(200);
      await stage.half.look();
      expect(stage.views).toBe(2);
    } finally {
      vi.useRealTimers();
    }
  });

  it('that does not come is no fault', async () => {
    const stage = new Stage();
    stage.half.wantLayer2(LAYER2);
    stage.answersView = false;
    await stage.half.look();
    expect(stage.half.view).toBeUndefined();
  });
});

it('leaves politely: handed over first, ended then, told nothing more', async () => {
  const stage = new Stage();
  stage.half.wantLayer2(LAYER2);
  await stage.half.leave();
  stage.half.wantLayer2(undefined);
  expect([stage.calls, stage.wanted.length, stage.reports.at(-1)]).toEqual([['leave', 'end'], 1, { report: 'left' }]);
});

it('an iBGP router is one hop away exactly while it is on a subnet of ours', () => {
  const stage = new Stage();
  const hops = () => stage.wanted.at(-1)?.sessions.get('rr')?.hops;
  stage.half.wantSessions(new Map([['rr', session('nearest')]]));
  expect(hops()).toBe('single');
  stage.subnets = [];
  stage.half.wantSessions(new Map([['rr', session('nearest')]]));
  expect(hops()).toBe('multi');
});

it('and that is looked at again when the subnets change, though nobody asks', () => {
  vi.useFakeTimers();
  try {
    const stage = new Stage();
    stage.half.wantSessions(new Map([['rr', session('nearest')]]));
    vi.advanceTimersByTime(20_000);
    expect(stage.wanted).toHaveLength(1);
    stage.subnets = [];
    vi.advanceTimersByTime(5_000);
    expect(stage.wanted.map(({ sessions }) => sessions.get('rr')?.hops)).toEqual(['single', 'multi']);
    stage.half.wantSessions(new Map([['tor', session()]]));
    stage.subnets = ['192.0.2.0/24' as Prefix];
    vi.advanceTimersByTime(20_000);
    expect(stage.wanted).toHaveLength(3);
  } finally {
    vi.useRealTimers();
  }
});
