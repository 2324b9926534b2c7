// What people and Prometheus see of layer 2: views and reports of whole machines on a simulated LAN, as state, metrics and
// lines of the log.

import { beforeAll, describe, expect, it } from 'vitest';
import type { LinksReport, LinksView } from '../../src/links.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import { lineOfLayer2Report } from '../../src/observe/layer2-log.ts';
import { LAYER2_METRICS, type Layer2Counts, NO_LAYER2_COUNTS } from '../../src/observe/layer2-metrics.ts';
import { layer2Json } from '../../src/observe/layer2-state.ts';
import { datesFrom } from '../../src/observe/state.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { answerers, asked, cluster, nodeOf, startAll, VIP, viewOf } from '../links/lan.ts';

const dates = datesFrom(Date.UTC(2026, 0, 1));
const candidates = [{ node: 'node-a', score: 0 }];
const plan = {
  candidacies: ['app/web', 'app/dns'].map((service) => ({ service, ip: VIP, interfaces: [], candidates })),
} as unknown as Plan;

interface Seen {
  readonly owner: LinksView;
  readonly other: LinksView;
  readonly names: { readonly owner: string; readonly other: string };
  readonly reports: readonly LinksReport[];
}
let seen: Seen;

/** Five quiet seconds of three speakers, and a question of a client. */
beforeAll(() => {
  const self = cluster(3);
  startAll(self);
  self.world.run(5_000);
  const owner = nodeOf(self, answerers(self)[0]);
  const other = self.nodes.find((each) => each !== owner) ?? expect.fail('no other');
  asked(self);
  seen = {
    ...{ owner: viewOf(self, owner), other: viewOf(self, other) },
    names: { owner: owner.name, other: other.name },
    reports: self.nodes.flatMap(({ reports }) => reports),
  };
});

/** `name{labels} value` of all series. */
function series(links: LinksView | undefined, layer2: Layer2Counts = NO_LAYER2_COUNTS): readonly string[] {
  return LAYER2_METRICS.flatMap(({ name, labels, read }) =>
    read({ links, layer2 }).map((sample) => {
      expect(Object.keys(sample.labels)).toEqual(labels);
      const text = Object.entries(sample.labels).map(([key, value]) => `${key}="${value}"`);
      return `${name}{${text}} ${sample.value}`;
    }),
  );
}

describe('metrics of layer 2', () => {
  it('are MetalLB’s by address, from the first use on', () => {
    const own = series(seen.owner);
    // two ARP frames at once and each 1.1 s for 5 s: the address was claimed a second or two after the start
    expect(own).toContainEqual(
      expect.stringMatching(new RegExp(`^metallb_layer2_gratuitous_sent{ip="${VIP}"} [468]$`)),
    );
    expect(own).toContain(`metallb_layer2_requests_received{ip="${VIP}"} 1`);
    expect(own).toContain(`metallb_layer2_responses_sent{ip="${VIP}"} 1`);
    expect(series(seen.other).filter((each) => each.startsWith('metallb_'))).toEqual([]);
  });

  it('tell who owns what on which interface, and who is heard there', () => {
    const { owner, other } = seen.names;
    expect(series(seen.owner)).toEqual(
      expect.arrayContaining([
        'fairway_layer2_answered_addresses{interface="eth0"} 1',
        'fairway_layer2_addresses{interface="eth0",state="owner"} 1',
        `fairway_layer2_speaker_heard_bool{interface="eth0",node="${other}"} 1`,
        'fairway_layer2_segment_ready_bool{interface="eth0"} 1',
        'fairway_layer2_gateway_ok_bool{interface="eth0"} 1',
      ]),
    );
    expect(series(seen.other)).toEqual(
      expect.arrayContaining([
        'fairway_layer2_answered_addresses{interface="eth0"} 0',
        'fairway_layer2_addresses{interface="eth0",state="held"} 1',
        `fairway_layer2_speaker_heard_bool{interface="eth0",node="${owner}"} 1`,
      ]),
    );
  });

  it('count what happened by reason', () => {
    const counts = { claims: { vacant: 2 }, releases: { leaving: 1 }, strangers: 3, late: 4 };
    expect(series(undefined, counts)).toEqual([
      'fairway_layer2_claims_total{reason="vacant"} 2',
      'fairway_layer2_releases_total{reason="leaving"} 1',
      'fairway_layer2_strangers_total{} 3',
      'fairway_layer2_late_turns_total{} 4',
    ]);
  });

  it('have names of their own, and a help', () => {
    const names = LAYER2_METRICS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, help, type } of LAYER2_METRICS) {
      expect(help).not.toBe('');
      expect(name.startsWith('metallb_layer2_') || (type === 'counter') === name.endsWith('_total')).toBe(true);
    }
  });
});

describe('the state of layer 2', () => {
  it('is empty without a packet thread', () => {
    expect(layer2Json(undefined, undefined, dates)).toEqual({ segments: [], claims: [] });
  });

  it('names the gateways of both families', () => {
    const gateways = [
      { ip: '192.0.2.254' as Ip, mac: '02:00:00:00:00:fe' as Mac, confirms: true },
      { ip: 'fe80::fe' as Ip, confirms: false },
    ];
    const lans = seen.owner.lans.map(({ segment, ...lan }) => ({
      ...lan,
      ...(segment !== undefined && { segment: { ...segment, gateways } }),
    }));
    expect(layer2Json({ ...seen.owner, lans }, plan, dates).segments[0]).toMatchObject({
      gatewayOk: true,
      gateways: [gateways[0], { ...gateways[1], mac: null }],
    });
  });

  it('names segments with their speakers, and claims with their Services', () => {
    const { owner, other } = seen.names;
    const { segments, claims } = layer2Json(seen.owner, plan, dates);
    expect(segments).toMatchObject([
      { ...{ interface: 'eth0', serves: true, frames: true, carrier: true, receives: true, ready: true, answered: 1 } },
    ]);
    const told = segments[0]?.speakers.find(({ node }) => node === other);
    expect(told).toMatchObject({ interface: 'eth0', heard: true, ready: true, claims: 0, stillAnswers: false });
    expect(told?.lastHeardAt).toMatch(/^2026-01-01T00:00:0[5-6]/);
    expect(claims).toMatchObject([
      { ip: VIP, interface: 'eth0', state: 'owner', epoch: 1, services: ['app/dns', 'app/web'], takenBy: null },
    ]);
    expect(layer2Json(seen.other, plan, dates).claims).toMatchObject([{ state: 'held', owner, heldBy: 'claim' }]);
    // plain JSON: nothing is lost, and no key of the speakers gets here
    const text = JSON.stringify(layer2Json(seen.owner, plan, dates));
    expect(JSON.parse(text)).toEqual(layer2Json(seen.owner, plan, dates));
    expect(text).not.toContain('first');
  });
});

describe('the log of layer 2', () => {
  it('has a line for what a machine reports, with the interface', () => {
    const lines = seen.reports.flatMap((report) => lineOfLayer2Report(report) ?? []);
    const events = new Set(lines.map(({ fields }) => fields['event']));
    expect([...events]).toEqual(expect.arrayContaining(['speakerHeard', 'addressClaimed']));
    for (const { fields } of lines) expect(fields).toMatchObject({ protocol: 'layer2', interface: 'eth0' });
  });

  it.each<[event: string, level: string, report: Partial<LinksReport>]>([
    ['ownAddress', 'warn', { report: 'l2-own-address', link: 'kube-ipvs0', addresses: 7 }],
    ['ownerStillAnswers', 'warn', { report: 'l2-owner-still-answers', node: 'n2', addresses: 3 }],
    ['addressConflict', 'error', { report: 'l2-stranger', claimed: false }],
    ['packetThreadLate', 'warn', { report: 'l2-late', pausedMs: 700.4 }],
    ['addressConfirmation', 'warn', { report: 'l2-confirmation', verdict: 'refuted' }],
    ['addressConfirmation', 'debug', { report: 'l2-confirmation', verdict: 'unconfirmed' }],
    ['speakerLost', 'warn', { report: 'l2-member', node: 'n2', link: 'eth1', heard: false }],
    ['gateway', 'warn', { report: 'l2-gateway', ok: false }],
  ])('%s is a line of level %s', (event, level, report) => {
    const segment = report.report !== 'l2-own-address' && { segment: 'eth0' };
    const whole = { ...segment, ip: VIP, mac: '02:00:00:00:00:99', ...report } as unknown as LinksReport;
    expect(lineOfLayer2Report(whole)).toMatchObject({ level, fields: { event } });
  });

  it('leaves what others tell to them', () => {
    expect(lineOfLayer2Report({ report: 'left' })).toBeUndefined();
    expect(lineOfLayer2Report({ report: 'l2-answers', addresses: new Map() })).toBeUndefined();
  });
});
