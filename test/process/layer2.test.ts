// Layer 2 between plan and packet thread: what is asked for, what is made of what comes back, and who is told.

import { describe, expect, it } from 'vitest';
import { LAYER2_DEFAULTS } from '../../src/cli/layer2-flags.ts';
import type { Config } from '../../src/config/config.ts';
import type { Speakers } from '../../src/k8s/speaker-pods.ts';
import type { LinksReport } from '../../src/links.ts';
import type { Ip } from '../../src/net/address.ts';
import { parseMac } from '../../src/net/address.ts';
import type { Line } from '../../src/observe/log.ts';
import { createMemory, plan } from '../../src/plan/plan.ts';
import type { Service } from '../../src/plan/snapshot.ts';
import { eventOf, Layer2, type Layer2Warning } from '../../src/process/layer2.ts';
import { howHeard, type Layer2View, standingsOf } from '../../src/process/layer2-view.ts';
import { config, endpoint, ip, l2Advertisement, node, pool, service, snapshot } from '../plan/cluster.ts';

const NODES = ['n1', 'n2', 'n3'];
const [A, B] = [ip('10.0.0.1'), ip('10.0.0.2')];
const MAC = parseMac('02:00:00:00:00:99') ?? expect.fail('no MAC');

const configuration = (interfaces: readonly string[] = []): Config =>
  config([pool('main', ['10.0.0.0/29'], { l2Advertisements: [l2Advertisement('all', NODES, { interfaces })] })]);

const web = (name: string, address: Ip, more: Partial<Service> = {}) =>
  service(`app/${name}`, { ingress: [{ ip: address }], ...more });

class Stage {
  readonly lines: Line[] = [];
  readonly warnings: Layer2Warning[] = [];
  changes = 0;
  speakers: Speakers | undefined = { ours: new Map(), unready: new Set(), metallb: new Set() };
  secrets: readonly string[] = ['first'];
  config = configuration();
  readonly layer2: Layer2;

  constructor(liveness = true, named: readonly string[] = []) {
    this.layer2 = new Layer2({
      settings: { ...LAYER2_DEFAULTS, excluded: ['^lo$'], named },
      ...(liveness && { liveness: { port: 7946, speakers: () => this.speakers, secrets: () => this.secrets } }),
      say: (line) => this.lines.push(line),
      changed: () => {
        this.changes++;
      },
      warn: (warning) => this.warnings.push(warning),
    });
  }

  #seen = new Map<string, ReturnType<typeof plan>>();

  follow(self: string, ...services: readonly Service[]) {
    const endpoints = Object.fromEntries(services.map(({ key }) => [key, [endpoint('10.9.9.9', 'n1')]]));
    const nodes = NODES.map((name, at) => node(name, { address: ip(`192.0.2.${at + 1}`) }));
    const seen = snapshot(this.config, services, { nodes, endpoints });
    const key = JSON.stringify([self, services, this.config.pools.map(({ l2Advertisements }) => l2Advertisements)]);
    const planned = this.#seen.get(key) ?? plan(seen, self);
    this.#seen.set(key, planned);
    this.nodes ??= seen.nodes;
    const established = () => services.flatMap(({ ingress }) => ingress.flatMap((entry) => entry.ip ?? []));
    return this.layer2.follow({ plan: planned, config: this.config, nodes: this.nodes, established });
  }
  nodes: ReturnType<typeof snapshot>['nodes'] | undefined;

  hear(...reports: readonly LinksReport[]): this {
    for (const report of reports) this.layer2.take(report);
    return this;
  }

  reason(name: string): string {
    const { layer2 } = this.layer2.services.get(`app/${name}`) ?? expect.fail(`no ${name}`);
    return 'withheld' in layer2 ? layer2.withheld.reason : 'announced';
  }

  events(): string[] {
    return this.lines.map(({ fields }) =>
      `${fields['event']} ${fields['service'] ?? fields['interface'] ?? ''}`.trim(),
    );
  }
}

const answers = (...entries: readonly (readonly [Ip, ...string[]])[]): LinksReport => ({
  report: 'l2-answers',
  addresses: new Map(entries.map(([address, ...links]) => [address, links])),
});

describe('what is wanted', () => {
  it('is nothing without an address to answer for', () => {
    expect(new Stage().follow('n1')).toBeUndefined();
  });

  it('names each address once with its candidates in order, and all about liveness', () => {
    const stage = new Stage();
    stage.speakers = {
      ours: new Map([
        ['n1', [ip('192.0.2.1')]],
        ['n2', [ip('192.0.2.2'), ip('2001:db8::2')]],
      ]),
      unready: new Set(),
      metallb: new Set(),
    };
    // SHA-256 of `node#address`, see the order of plan/elect
    const order = (address: Ip) =>
      plan(
        snapshot(configuration(), [web('x', address)], {
          nodes: NODES.map((name) => node(name)),
          endpoints: { 'app/x': [endpoint('10.9.9.9')] },
        }),
        'n1',
      ).candidacies[0]?.candidates;
    expect(stage.follow('n1', web('a', A), web('b', B))).toEqual({
      ...{ node: 'n1', excluded: ['^lo$'], announcements: { framesPerSecond: 500, refreshMs: 60_000 } },
      addresses: [A, B].map((address) => ({
        ...{ ip: address, interfaces: [], foreign: false, established: true },
        candidates: order(address),
      })),
      liveness: {
        ...{ port: 7946, secrets: ['first'], failbackMs: 120_000, conflict: 'refuse', serving: true },
        speakers: new Map([['n2', [ip('192.0.2.2'), ip('2001:db8::2')]]]),
        nodes: new Map(NODES.map((name, at) => [name, ip(`192.0.2.${at + 1}`)])),
        controls: [ip('10.0.0.7'), ip('10.0.0.6')],
      },
    });
  });

  it('is the same object while nothing of it is another, and another with Pods, Secret or plan', () => {
    const stage = new Stage();
    const first = stage.follow('n1', web('a', A));
    expect(stage.follow('n1', web('a', A))).toBe(first);
    stage.secrets = ['second', 'first'];
    const second = stage.follow('n1', web('a', A));
    expect(second?.liveness?.secrets).toEqual(['second', 'first']);
    stage.speakers = { ours: new Map([['n3', [ip('192.0.2.3')]]]), unready: new Set(), metallb: new Set() };
    expect(stage.follow('n1', web('a', A))?.liveness?.speakers.size).toBe(1);
    expect(stage.follow('n1', web('a', A), web('b', B))?.addresses.length).toBe(2);
  });

  it('is the same object when endpoints come and go, and not when an address does', () => {
    const { layer2, config } = new Stage();
    const memory = createMemory();
    const nodes = NODES.map((name) => node(name));
    const from = snapshot(config, [], { nodes });
    const follow = (services: readonly Service[], ...endpoints: readonly string[]) => {
      const seen = snapshot(config, services, {
        endpoints: Object.fromEntries(services.map(({ key }) => [key, endpoints.map((name) => endpoint(name, 'n1'))])),
      });
      const planned = plan({ ...seen, nodes: from.nodes }, 'n1', memory);
      const wanted = layer2.follow({ plan: planned, config, nodes: from.nodes, established: () => [A, B] });
      return { planned, wanted };
    };
    const [a, b] = [web('a', A), web('b', B)];
    const first = follow([a, b], '10.9.9.9');
    const second = follow([a, b], '10.9.9.9', '10.9.9.8');
    expect(second.planned).not.toBe(first.planned);
    expect(second.wanted).toBe(first.wanted);
    expect(follow([a], '10.9.9.9').wanted?.addresses).toMatchObject([{ ip: A, established: true }]);
    // given up and given again: as new
    expect(follow([a, b], '10.9.9.9').wanted?.addresses).toMatchObject([
      { ip: A, established: true },
      { ip: B, established: false },
    ]);
  });

  it('has no liveness without memberlist flags', () => {
    expect(new Stage(false).follow('n1', web('a', A))).not.toHaveProperty('liveness');
  });

  it('takes nothing before it is known whether MetalLB runs, and leaves it what its speakers may have', () => {
    const stage = new Stage();
    stage.speakers = undefined;
    expect(stage.follow('n1', web('a', A))?.liveness?.serving).toBe(false);
    stage.speakers = { ours: new Map(), unready: new Set(), metallb: new Set(['n2', 'elsewhere']) };
    expect(stage.follow('n1', web('a', A))).toMatchObject({
      addresses: [{ foreign: true }],
      liveness: { serving: true },
    });
    stage.speakers = { ours: new Map(), unready: new Set(), metallb: new Set(['elsewhere']) };
    expect(stage.follow('n1', web('a', A))).toMatchObject({ addresses: [{ foreign: false }] });
  });

  it('knows what had an address before this process came, as long as it has it', () => {
    const stage = new Stage();
    const established = (...services: readonly Service[]) =>
      stage.follow('n1', ...services)?.addresses.map((address) => `${address.ip} ${address.established}`);
    expect(established(web('a', A))).toEqual([`${A} true`]);
    expect(established(web('a', A), web('b', B))).toEqual([`${A} true`, `${B} false`]);
    expect(established(web('b', B))).toEqual([`${B} false`]);
    expect(established(web('a', A))).toEqual([`${A} false`]);
  });

  it('knows what had an address before, also where the configuration comes later', () => {
    const stage = new Stage();
    const { nodes } = snapshot([], [], { nodes: NODES.map((name) => node(name)) });
    const early = plan({ ...snapshot([], [web('a', A)]), config: undefined }, 'n1');
    const established = () => [A];
    expect(stage.layer2.follow({ plan: early, config: undefined, nodes, established })).toBeUndefined();
    expect(stage.follow('n1', web('a', A))?.addresses).toMatchObject([{ ip: A, established: true }]);
  });

  it('has control addresses that no Service has: of pools that are on the LAN, and for documentation where all are taken', () => {
    const stage = new Stage();
    const all = Array.from({ length: 8 }, (_, at) => web(`s${at}`, ip(`10.0.0.${at}`)));
    expect(stage.follow('n1', web('a', ip('10.0.0.7')))?.liveness?.controls).toEqual([ip('10.0.0.6'), ip('10.0.0.5')]);
    // RFC 5737
    const nobodys = [ip('203.0.113.253'), ip('198.51.100.253')];
    expect(stage.follow('n1', ...all)?.liveness?.controls).toEqual(nobodys);
    expect(stage.follow('n1', ...all.slice(0, 7))?.liveness?.controls).toEqual([ip('10.0.0.7'), nobodys[0]]);
    stage.config = config([
      pool('main', ['10.0.0.0/29']),
      ...configuration().pools.map((each) => ({ ...each, name: 'z' })),
    ]);
  });
});

describe('an address that Services share', () => {
  const shared = (name: string, ...nodes: readonly string[]) => ({
    service: web(name, A, { sharingKey: 'k', trafficPolicy: 'Local' }),
    endpoints: nodes.map((each) => endpoint('10.9.9.9', each)),
  });
  const wantedFor = (...shares: readonly ReturnType<typeof shared>[]) => {
    const seen = snapshot(
      configuration(),
      shares.map((each) => each.service),
      {
        nodes: NODES.map((name) => node(name)),
        endpoints: Object.fromEntries(shares.map((each) => [each.service.key, each.endpoints])),
      },
    );
    const stage = new Stage();
    const wanted = stage.layer2.follow({
      plan: plan(seen, 'n1'),
      config: seen.config,
      nodes: seen.nodes,
      established: () => [],
    });
    return wanted?.addresses.map(({ candidates }) =>
      candidates
        .map((each) => each.node)
        .sort()
        .join(),
    );
  };

  it('is one, and goes to nodes that can serve them all', () => {
    expect(wantedFor(shared('a', 'n1', 'n2'), shared('b', 'n2', 'n3'))).toEqual(['n2']);
    expect(wantedFor(shared('b', 'n2', 'n3'), shared('a', 'n1', 'n2'))).toEqual(['n2']);
  });

  it('goes where the first of them by name can be served when no node can serve all', () => {
    expect(wantedFor(shared('b', 'n3'), shared('a', 'n1', 'n2'))).toEqual(['n1,n2']);
  });
});

describe('what the packet thread tells', () => {
  it('makes a Service announced and withdrawn, in the log as MetalLB words it', () => {
    const stage = new Stage();
    stage.follow('n1', web('a', A), web('b', B));
    expect([stage.reason('a'), stage.reason('b')]).toEqual(['notYetClaimed', 'notYetClaimed']);
    stage.hear({ report: 'l2-links', serving: ['eth0'], known: ['eth0', 'lo'] }, answers([A, 'eth0']));
    expect([stage.reason('a'), stage.reason('b')]).toEqual([
      'announced',
      expect.stringMatching(/^not(YetClaimed|Owner)$/),
    ]);
    stage.hear(answers([A]));
    expect(stage.reason('a')).toBe('notYetClaimed');
    expect(stage.events()).toEqual(['createARPResponder eth0', 'serviceAnnounced app/a', 'serviceWithdrawn app/a']);
    expect(stage.lines[1]).toMatchObject({
      msg: 'service has IP, announcing',
      fields: { protocol: 'layer2', ips: [A], pool: 'main' },
    });
    expect(stage.layer2.counts).toEqual({ claims: {}, releases: {}, strangers: 0, late: 0 });
  });

  it('changes nothing for who looks when it says the same', () => {
    const stage = new Stage();
    stage.follow('n1', web('a', A));
    stage.hear(answers([A, 'eth0']));
    const before = [stage.changes, stage.layer2.services];
    stage.hear(answers([A, 'eth0']));
    stage.follow('n1', web('a', A));
    expect([stage.changes, stage.layer2.services]).toEqual(before);
    expect(stage.layer2.services).toBe(before[1]);
  });

  it('names the interfaces that serve, and warns once of those that are not there', () => {
    const stage = new Stage();
    stage.config = configuration(['eth9']);
    const first =
      NODES.find(
        (self) =>
          plan(
            snapshot(stage.config, [web('a', A)], {
              nodes: NODES.map((name) => node(name)),
              endpoints: { 'app/a': [endpoint('10.9.9.9')] },
            }),
            self,
          ).layer2.length > 0,
      ) ?? expect.fail('nobody is first');
    stage.follow(first, web('a', A));
    const links = (...known: readonly string[]): LinksReport => ({ report: 'l2-links', serving: ['eth0'], known });
    stage.hear(links('eth0'), links('eth0'));
    expect(stage.warnings).toEqual([{ is: 'no-interface', service: 'app/a', ip: A }]);
    expect(stage.reason('a')).toBe('noInterface');
    expect(eventOf(stage.warnings[0] ?? expect.fail('none'), first)).toEqual({
      reason: 'announceFailed',
      message: `the interfaces specified by LB IP "10.0.0.1" doesn't exist in assigned node "${first}" with protocol "layer2"`,
    });
    stage.hear(links('eth0', 'eth9'), links('eth0'));
    expect(stage.warnings.length).toBe(2);
    expect(stage.events().filter((event) => event.includes('Responder'))).toEqual(['createARPResponder eth0']);
  });

  it('of an interface that a flag names and that does not serve is a line with its name, once', () => {
    const stage = new Stage(false, ['eth0', 'eth1', 'eth9']);
    const links = (serving: readonly string[]): LinksReport => ({
      ...{ report: 'l2-links', serving, known: ['eth0', 'eth1'] },
    });
    const missed = () => stage.lines.splice(0).filter(({ fields }) => fields['event'] === 'interfaceMissing');
    stage.hear(links(['eth0']), links(['eth0']));
    expect(missed()).toMatchObject([
      { level: 'warn', fields: { interface: 'eth1', error: expect.stringMatching(/down/) } },
      { level: 'warn', fields: { interface: 'eth9', error: 'there is no such interface' } },
    ]);
    stage.hear(links(['eth0', 'eth1']), links(['eth0']));
    expect(missed()).toMatchObject([{ fields: { interface: 'eth1' } }]);
  });

  it('of a stranger is told to the owners of all its Services, with the MAC', () => {
    const stage = new Stage();
    const share = { sharingKey: 'k', ports: [{ protocol: 'TCP', port: 81 }] };
    stage.follow('n1', web('a', A, share), web('b', A, share), web('c', B));
    stage.hear({ report: 'l2-stranger', segment: 'eth0', ip: A, mac: MAC, claimed: false, gateway: false });
    expect(stage.warnings.map((warning) => [warning.service, eventOf(warning, 'n1').reason])).toEqual([
      ['app/a', 'AddressConflict'],
      ['app/b', 'AddressConflict'],
    ]);
    expect(eventOf(stage.warnings[0] ?? expect.fail('none'), 'n1').message).toContain(MAC);
    expect(eventOf(stage.warnings[0] ?? expect.fail('none'), 'n1').message).not.toContain('proxy');
    expect(stage.layer2.counts.strangers).toBe(1);
    stage.hear({ report: 'l2-stranger', segment: 'eth0', ip: B, mac: MAC, claimed: false, gateway: true });
    expect(eventOf(stage.warnings[2] ?? expect.fail('none'), 'n1').message).toContain(
      'leave two addresses of the pool',
    );
  });

  it('is counted by reason', () => {
    const stage = new Stage();
    const claimed = { report: 'l2-claimed', segment: 'eth0', ip: A, epoch: 1, because: 'vacant' } as const;
    stage.hear(claimed, claimed, { report: 'l2-released', segment: 'eth0', ip: A, because: 'leaving' });
    stage.hear({ report: 'l2-late', segment: 'eth0', pausedMs: 700 });
    expect(stage.layer2.counts).toEqual({ claims: { vacant: 2 }, releases: { leaving: 1 }, strangers: 0, late: 1 });
  });
});

describe('a view of the packet thread', () => {
  const responder = { link: 'eth0', answers: [], queued: 0, paced: 0, askers: 0, counters: {}, drops: {} };
  const member = { link: 'eth0', ready: true, gatewayOk: true, leaving: false, claims: 1 };
  const lan = (addresses: readonly object[], members: readonly object[] = []): Layer2View['lans'][number] => ({
    ...{ link: 'eth0', serves: true, frames: true, responder, speakers: [] },
    segment: {
      ...{ link: 'eth0', carrier: true, receives: true, ready: true, gatewayOk: true, gateways: [], drops: {} },
      addresses: addresses.map((address) => ({ ip: A, moves: 0, ...address })) as never,
      members: members.map((each) => ({ ...member, stillAnswers: false, ...each })) as never,
    },
  });

  it.each<[what: string, address: object, members: readonly object[], standing: object | undefined]>([
    ['owner', { state: 'owner' }, [], { is: 'answered' }],
    ['handing over', { state: 'handing-over' }, [], { is: 'answered' }],
    ['silent after a pause', { state: 'suspended' }, [], { is: 'waiting' }],
    ['another owns it', { state: 'held', owner: 'n2', heldBy: 'claim' }, [], { is: 'owned', by: 'n2' }],
    [
      'its owner went silent and answers',
      { state: 'held', heldBy: 'silence-unproven' },
      [{ node: 'n2', heard: false, stillAnswers: true }],
      { is: 'still-answered', by: 'n2' },
    ],
    [
      'nobody knows yet',
      { state: 'held', heldBy: 'silence-unproven' },
      [{ node: 'n2', heard: false }],
      { is: 'waiting' },
    ],
    ['vacant', { state: 'vacant' }, [], { is: 'waiting' }],
    ['a stranger', { state: 'vacant', takenBy: { mac: MAC, by: 'stranger' } }, [], { is: 'taken', mac: MAC }],
    ['an unheard node', { state: 'vacant', takenBy: { mac: MAC, by: 'node' } }, [], { is: 'still-answered' }],
    ['left to MetalLB', { state: 'foreign' }, [], { is: 'foreign' }],
    ['for others', { state: 'not-candidate' }, [], undefined],
    ['for others, one has it', { state: 'not-candidate', owner: 'n3' }, [], { is: 'owned', by: 'n3' }],
  ])('says how it stands with an address: %s', (_, address, members, standing) => {
    expect(standingsOf({ lans: [lan([address], members)] }).get(A)).toEqual(standing && [standing]);
  });

  it('without liveness says what is answered', () => {
    const { segment: _, ...plain } = lan([]);
    const lans = [{ ...plain, responder: { ...responder, answers: [B] } }];
    expect([...standingsOf({ lans })]).toEqual([[B, [{ is: 'answered' }]]]);
  });

  it('gives the reason why a Service is not announced, and takes back what is answered no more', () => {
    const stage = new Stage();
    stage.follow('n1', web('a', A));
    stage.hear(answers([A, 'eth0']));
    stage.layer2.look({ lans: [lan([{ state: 'vacant', takenBy: { mac: MAC, by: 'stranger' } }])] });
    expect(stage.reason('a')).toBe('stranger');
    stage.layer2.look({ lans: [] });
    expect(['noInterface', 'notOwner']).toContain(stage.reason('a'));
  });

  it('is whom an address was handed to, before anybody was looked at', () => {
    const stage = new Stage();
    stage.follow('n1', web('a', A));
    stage.hear({ report: 'l2-links', serving: ['eth0'], known: ['eth0'] }, answers([A, 'eth0']));
    const handed = { report: 'l2-released', segment: 'eth0', ip: A, because: 'handed-over', to: 'n2' } as const;
    stage.hear(handed, answers([A]));
    expect(stage.reason('a')).toBe('notOwner');
    expect(stage.lines.at(-1)).toMatchObject({
      fields: { event: 'serviceWithdrawn', reason: 'notOwner', error: `node n2 answers for ${A}` },
    });
    // nobody took it: it came back, and is lost otherwise
    stage.hear(answers([A, 'eth0']));
    expect(stage.reason('a')).toBe('announced');
    stage.hear(answers([A]));
    expect(stage.reason('a')).toBe('notYetClaimed');
  });

  it.each([true, false])('is that the speaker ends, where nobody took the address (liveness: %s)', (liveness) => {
    const stage = new Stage(liveness);
    stage.follow('n1', web('a', A), web('b', B));
    stage.hear({ report: 'l2-links', serving: ['eth0'], known: ['eth0'] }, answers([A, 'eth0'], [B, 'eth0']));
    stage.layer2.leave();
    expect(stage.reason('a')).toBe('announced');
    if (liveness) {
      stage.hear({ report: 'l2-released', segment: 'eth0', ip: A, because: 'leaving' });
      stage.hear({ report: 'l2-released', segment: 'eth0', ip: B, because: 'handed-over', to: 'n2' });
    }
    stage.hear(answers([A], [B]));
    expect(stage.lines.at(-2)).toMatchObject({ fields: { event: 'serviceWithdrawn', reason: 'speakerLeaving' } });
    expect([stage.reason('a'), stage.reason('b')]).toEqual([
      'speakerLeaving',
      liveness ? 'notOwner' : 'speakerLeaving',
    ]);
    stage.layer2.look({ lans: [lan([{ state: 'vacant' }])] });
    expect(stage.reason('a')).toBe('speakerLeaving');
  });

  it('is that its only link can serve no more: what was answered is withheld for that', () => {
    const stage = new Stage();
    stage.follow('n1', web('a', A));
    stage.hear({ report: 'l2-links', serving: ['eth0'], known: ['eth0'] }, answers([A, 'eth0']));
    expect(stage.reason('a')).toBe('announced');
    // as they come when a socket breaks
    stage.hear({ report: 'l2-links', serving: [], known: ['eth0'] }, answers([A]));
    expect(stage.reason('a')).toBe('noInterface');
    stage.layer2.look({ lans: [lan([{ state: 'vacant' }])] });
    expect(stage.reason('a')).toBe('noInterface');
  });

  it('that was looked at before does not undo what was told since', () => {
    const stage = new Stage();
    stage.follow('n1', web('a', A));
    const view = { lans: [lan([{ state: 'owner' }])] };
    stage.hear({ report: 'l2-links', serving: ['eth0'], known: ['eth0'] });
    stage.layer2.look(view);
    expect(stage.reason('a')).toBe('announced');
    stage.hear(answers([A]));
    stage.layer2.look(view);
    expect(stage.reason('a')).toBe('notYetClaimed');
    stage.layer2.look({ ...view });
    expect(stage.reason('a')).toBe('announced');
  });

  it('tells a node that is silent everywhere from one that is heard somewhere, or nowhere known', () => {
    const view = {
      lans: [
        lan([], [{ node: 'n2', heard: false }]),
        lan(
          [],
          [
            { node: 'n2', heard: true },
            { node: 'n3', heard: false },
          ],
        ),
      ],
    };
    expect(['n2', 'n3', 'n4'].map((name) => howHeard(view, name))).toEqual(['heard', 'silent', 'unknown']);
    expect(howHeard(undefined, 'n2')).toBe('unknown');
  });
});
