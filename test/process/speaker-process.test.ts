// From an API server to a router's table and back, and what is written about it; an API server that is away, a
// configuration that is refused, a node that MetalLB has not let go of.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SpeakerProcess } from '../../src/process/speaker-process.ts';
import type { Json } from '../k8s/fake-api.ts';
import { FRR_CONFIGURATIONS, NAMESPACE, PATH, Stage } from './speaker-stage.ts';

let stage: Stage;
beforeEach(async () => {
  stage = await new Stage().open();
});
afterEach(() => stage.close());

const WEB = '203.0.113.1';
const ROUTE = '203.0.113.1/32';

const statusOf = (object: Json | undefined) => object?.['status'] as Json | undefined;
const metadataOf = (object: Json | undefined) => (object?.['metadata'] ?? {}) as Json;
/** Those that were made, as they stand now. */
const statuses = (): readonly Json[] => {
  const writes = stage.api.seen.filter(({ method, path }) => method === 'POST' && path.endsWith('servicebgpstatuses'));
  const names = new Set(writes.map(({ body }) => String(metadataOf(body as Json)['name'])));
  return [...names].map((name) => stage.object(PATH.statuses, name)).filter((object) => object !== undefined);
};
const events = () => stage.writes.filter((write) => write.endsWith('/events'));
const unserved = (speaker: SpeakerProcess) =>
  speaker.state().peers.flatMap(({ name, lastError }) => (lastError === null ? [] : [`${name}: ${lastError.code}`]));
const metric = async (speaker: SpeakerProcess, name: string) => {
  const answer = await fetch(`http://127.0.0.1:${speaker.http?.port}/metrics`);
  const line = (await answer.text()).split('\n').find((each) => each.startsWith(`${name} `));
  return line?.slice(name.length + 1);
};
const settled = (what: string) => stage.until(what, () => statusOf(statuses()[0]) !== undefined && events().length > 0);

describe('a speaker', () => {
  it('dials nobody before it has read everything, and says what it waits for', async () => {
    stage.configure().serve('web', WEB);
    stage.api.fail(({ path }) => path.endsWith('/secrets'), { status: 503 }, 1_000);
    const speaker = await stage.speak();
    await stage.until('it has tried more than once', () => stage.logged({ resource: 'secrets' }).length > 0);
    await stage.clock.advance(60_000);
    expect(stage.reports.filter(({ report }) => report !== 'listening')).toEqual([]);
    expect(speaker.ready).toBe(false);
    const readiness = await fetch(`http://127.0.0.1:${speaker.http?.port}/readyz`);
    expect([readiness.status, await readiness.text()]).toEqual([503, expect.stringMatching(/^secrets: .*503/)]);
    stage.api.mend();
    await stage.holds(ROUTE);
    expect(speaker.ready).toBe(true);
  });

  it('announces what has an address and an endpoint, and takes it back', async () => {
    stage.configure().serve('web', WEB).serve('dns', '203.0.113.2', false);
    const speaker = await stage.speak();
    await stage.holds(ROUTE);
    stage.serve('dns', '203.0.113.2');
    await stage.holds(`${ROUTE},203.0.113.2/32`);
    stage.serve('web', WEB, false);
    await stage.holds('203.0.113.2/32');
    expect(stage.sessions).toBe(1);
    expect(speaker.state()).toMatchObject({
      process: { role: 'speaker', node: 'n1', ready: true },
      knowledge: { namespace: NAMESPACE, configuration: { accepted: true, error: '' }, problem: '' },
      services: [
        { service: 'app/web', ips: [WEB], pool: 'main', announced: [], withheld: [{ reason: 'noEndpoints' }] },
        { service: 'app/dns', announced: [{ protocol: 'bgp', by: 'n1' }] },
      ],
      peers: [{ name: 'tor', state: 'Established', announced: [{ prefix: '203.0.113.2/32' }] }],
    });
    const announced = 'metallb_speaker_announced{service="app/dns",protocol="bgp",node="n1",ip="203.0.113.2"}';
    expect(await metric(speaker, announced)).toBe('1');
    expect(await metric(speaker, `metallb_bgp_session_up{peer="127.0.0.1:${stage.port}"}`)).toBe('1');
    // a cluster in which nothing happens is known as it is
    await stage.clock.advance(50_000);
    expect(await metric(speaker, 'fairway_knowledge_age_seconds')).toBe('0');
    expect(speaker.state().knowledge.ageMs).toBe(0);
  });

  it('without a Node of its name dials nobody, and says so; its end withdraws everything and keeps the session', async () => {
    stage.configure().serve('web', WEB);
    stage.api.remove(PATH.nodes, 'n1');
    stage.put(PATH.nodes, { metadata: { name: 'n2' } });
    const speaker = await stage.speak();
    await stage.until('it is told', () => stage.logged({ event: 'nodeMissing', node: 'n1' }).length === 1);
    await stage.clock.advance(60_000);
    expect([speaker.ready, stage.sessions, stage.writes]).toEqual([false, 0, []]);
    const readiness = await fetch(`http://127.0.0.1:${speaker.http?.port}/readyz`);
    expect([readiness.status, await readiness.text()]).toEqual([
      503,
      'nodes: the cluster has no Node "n1" (--node-name, METALLB_NODE_NAME)',
    ]);
    stage.put(PATH.nodes, { metadata: { name: 'n1' } });
    await stage.holds(ROUTE);
    stage.api.remove(PATH.nodes, 'n1');
    await stage.holds('');
    expect(speaker.state().services[0]).toMatchObject({ announced: [], withheld: [{ reason: 'notOwner' }] });
    expect(stage.logged({ event: 'nodeMissing' })).toHaveLength(2);
    stage.put(PATH.nodes, { metadata: { name: 'n1' } });
    await stage.holds(ROUTE);
    expect(stage.sessions).toBe(1);
  });

  it('withdraws nothing for one list that lacks its Node', async () => {
    stage
      .configure()
      .serve('web', WEB)
      .put(PATH.nodes, { metadata: { name: 'n2' } });
    const speaker = await stage.speak();
    await stage.holds(ROUTE);
    stage.api.remove(PATH.nodes, 'n1', false);
    stage.api.compact();
    stage.api.cut('end');
    await stage.until('it is doubted', () => stage.logged({ event: 'relistDoubted', resource: 'nodes' }).length > 0);
    const updates = () => speaker.state().peers[0]?.counters.sent['update'];
    const before = updates();
    stage.put(PATH.nodes, { metadata: { name: 'n1' } });
    await stage.until(
      'that is settled',
      () => stage.logged({ resource: 'nodes', op: 'list', level: 'warn' }).length > 0,
    );
    expect(speaker.state().peers[0]?.announced).toMatchObject([{ prefix: ROUTE }]);
    expect(updates()).toBe(before);
  });

  it('tells in its frr mode of the VRF that its peers are in', async () => {
    stage.configure();
    const speaker = await stage.speak({ bgpType: 'frr' });
    await stage.until('a session', () => stage.sessions > 0);
    expect(await metric(speaker, `metallb_bgp_session_up{peer="127.0.0.1:${stage.port}",vrf="default"}`)).toBe('1');
  });
});

describe('what a speaker writes', () => {
  it('is one object a Service, one Event, and its ConfigurationState', async () => {
    const pod = { metadata: { name: 'speaker-x', uid: 'pod-uid' } };
    stage.put(PATH.pods, pod).configure().serve('web', WEB);
    await stage.speak({ pod: 'speaker-x' });
    await settled('all was written');
    const owner = { apiVersion: 'v1', kind: 'Pod', name: 'speaker-x', uid: 'pod-uid' };
    expect(statuses()).toMatchObject([
      {
        metadata: { ownerReferences: [owner], labels: { 'metallb.io/service-name': 'web' } },
        status: { node: 'n1', serviceName: 'web', serviceNamespace: 'app', peers: ['tor'] },
      },
    ]);
    await stage.until('the state', () => statusOf(stage.object(PATH.states, 'speaker-n1'))?.['result'] === 'Valid');
    expect(stage.object(PATH.states, 'speaker-n1')).toMatchObject({
      metadata: {
        labels: { 'metallb.io/component-type': 'speaker', 'metallb.io/node-name': 'n1' },
        ownerReferences: [owner],
      },
      status: { conditions: [{ type: 'configReconcilerValid', status: 'True', reason: 'Reconciled' }] },
    });
    const [event] = stage.api.seen.filter(({ path }) => path.endsWith('/events')).map(({ body }) => body);
    expect(event).toMatchObject({
      involvedObject: { kind: 'Service', namespace: 'app', name: 'web' },
      ...{ type: 'Normal', reason: 'nodeAssigned', source: { component: 'metallb-speaker', host: 'n1' } },
      message: 'announcing from node "n1" with protocol "bgp"',
    });
  });

  it('is nothing after a restart that finds it all there, nor while nothing happens', async () => {
    stage.configure().serve('web', WEB);
    const first = await stage.speak();
    await settled('all was written');
    await stage.until('the state', () => statusOf(stage.object(PATH.states, 'speaker-n1')) !== undefined);
    const [before] = statuses();
    await stage.leave(first);
    const writes = stage.writes.length;
    await stage.speak();
    await stage.holds(ROUTE);
    await stage.clock.advance(120_000);
    // a change of the Service that changes nothing here, and then one that is to be told
    stage.serve('web', WEB).serve('dns', '203.0.113.2');
    await stage.until('that is told', () => statusOf(statuses()[1]) !== undefined && events().length > 1);
    expect(stage.writes.slice(writes).sort()).toEqual([
      expect.stringMatching(/^PATCH .*servicebgpstatuses.*status$/),
      expect.stringMatching(/^POST .*events$/),
      expect.stringMatching(/^POST .*servicebgpstatuses$/),
    ]);
    expect(statusOf(statuses()[1])?.['serviceName']).toBe('dns');
    expect(stage.object(PATH.statuses, String(metadataOf(before)['name']))).toEqual(before);
  });

  it('comes back when somebody deletes or edits it, also in the very moment it was written', async () => {
    stage.configure().serve('web', WEB);
    await stage.speak();
    await stage.until('a status', () => statusOf(statuses()[0]) !== undefined);
    const name = String(metadataOf(statuses()[0])['name']);
    const spoil = () =>
      stage.api.put(PATH.statuses, { ...statuses()[0], status: { ...statusOf(statuses()[0]), peers: ['x'] } });
    for (let times = 0; times < 3; times++) {
      spoil();
      await stage.until('it is mended', () => JSON.stringify(statusOf(statuses()[0])).includes('"tor"'));
    }
    stage.api.remove(PATH.statuses, `${NAMESPACE}/${name}`);
    await stage.until('it is back', () => statusOf(stage.object(PATH.statuses, name)) !== undefined);
  });

  it('is not waited for by routes, and is caught up with when it is allowed', async () => {
    stage.configure().serve('web', WEB);
    const write = ({ method }: { method: string }) => method !== 'GET';
    const text =
      'servicebgpstatuses.metallb.io is forbidden: User "system:serviceaccount:metallb-system:speaker" cannot';
    stage.api.fail(write, { status: 403, body: { kind: 'Status', message: text, reason: 'Forbidden' } }, 1_000);
    await stage.speak();
    await stage.holds(ROUTE);
    await stage.until('it says so', () => stage.logged({ op: 'write' }).length > 0);
    stage.api.mend();
    await stage.until('a status', () => statusOf(statuses()[0]) !== undefined, 500);
  });

  it('that is refused keeps no others from being written, and is written when nothing refuses it any more', async () => {
    stage.configure().serve('web', WEB);
    const refuses = ({ method, path, body }: { method: string; path: string; body: unknown }) =>
      method === 'POST' && path.endsWith('/servicebgpstatuses') && JSON.stringify(body).includes('"web"');
    const body = { kind: 'Status', message: 'a policy denies it', reason: 'Invalid' };
    stage.api.fail(refuses, { status: 422, body }, 1_000);
    await stage.speak();
    await stage.until('it says so', () => stage.logged({ op: 'write' }).length > 0);
    stage.serve('dns', '203.0.113.2');
    await stage.until('the other is written', () =>
      statuses().some((each) => statusOf(each)?.['serviceName'] === 'dns'),
    );
    expect(statuses()).toHaveLength(1);
    stage.api.mend();
    await stage.until('that one is written', () => statuses().length === 2, 500);
  });

  it('has no owner where its Pod is not known, which is said once', async () => {
    stage.configure().serve('web', WEB);
    await stage.speak({ pod: 'elsewhere' });
    await settled('all was written');
    expect(metadataOf(statuses()[0])['ownerReferences']).toBeUndefined();
    const said = stage.lines.filter(({ msg }) => msg.includes('has no owner'));
    expect(said).toMatchObject([{ level: 'warn', error: expect.stringContaining('pods "elsewhere"') }]);
  });
});

describe('a configuration', () => {
  it('that is refused changes nothing but the ConfigurationState, until it is mended', async () => {
    stage.configure().serve('web', WEB);
    const speaker = await stage.speak();
    await stage.holds(ROUTE);
    stage.put(PATH.peers, {
      metadata: { name: 'bad' },
      spec: { myASN: 1, peerASN: 2, peerAddress: '192.0.2.1', bfdProfile: 'none' },
    });
    const state = () => statusOf(stage.object(PATH.states, 'speaker-n1'));
    await stage.until('it is told', () => state()?.['result'] === 'Invalid');
    const error = 'peer bad referencing non existing bfd profile none';
    expect(state()).toMatchObject({
      errorSummary: `configuration error: ${error}`,
      conditions: [{ status: 'False', reason: 'ConfigurationError' }],
    });
    expect(await metric(speaker, 'metallb_k8s_client_config_stale_bool')).toBe('1');
    expect(speaker.state().knowledge.configuration).toEqual({ accepted: false, error });
    expect([stage.table, stage.sessions]).toEqual([ROUTE, 1]);
    stage.api.remove(PATH.peers, `${NAMESPACE}/bad`);
    await stage.until('it is valid', () => state()?.['result'] === 'Valid');
    expect(stage.sessions).toBe(1);
  });

  it('keeps its password from a Secret of the right type out of everything that is shown', async () => {
    const secret = (type: string, password: string) =>
      stage.put(PATH.secrets, {
        metadata: { name: 'key' },
        type,
        data: { password: Buffer.from(password).toString('base64') },
      });
    secret('Opaque', 'hidden').configure({ passwordSecret: { name: 'key' } });
    const speaker = await stage.speak();
    const error = () => speaker.state().knowledge.configuration.error;
    await stage.until('the type is refused', () => error().includes('type "kubernetes.io/basic-auth" is expected'));
    stage.api.remove(PATH.secrets, `${NAMESPACE}/key`);
    await stage.until('it is missed', () => error().includes('secret ref not found'));
    secret('kubernetes.io/basic-auth', 'hidden');
    await stage.until('it is taken', () => speaker.state().knowledge.configuration.accepted);
    expect(JSON.stringify([speaker.state(), stage.lines])).not.toContain('hidden');
  });

  it('names what MetalLB would have read and we do not', async () => {
    const map = (name: string, data: Json) => stage.put(PATH.configMaps, { metadata: { name }, data });
    map('bgpextras', { extras: ' \n' });
    map('kube-root-ca.crt', { 'ca.crt': 'x' }).configure();
    const speaker = await stage.speak();
    await stage.until('it is ready', () => speaker.ready);
    expect(speaker.state().knowledge.remarks).toEqual([]);
    map('bgpextras', { extras: 'router bgp 1' });
    map('metallb-memberlist-config', {});
    await stage.until('both are named', () => speaker.state().knowledge.remarks.length === 2);
    expect(speaker.state().knowledge.remarks).toEqual([
      expect.stringMatching(/^ConfigMap bgpextras: /),
      expect.stringMatching(/^ConfigMap metallb-memberlist-config: /),
    ]);
    expect(stage.logged({ msg: 'has no meaning here' })).toHaveLength(2);
  });
});

describe('an API server that is away', () => {
  it('changes nothing that is announced; how old it is, is said once a minute; only what is gone goes', async () => {
    stage.configure().serve('web', WEB).serve('dns', '203.0.113.2');
    const speaker = await stage.speak();
    await stage.holds(`${ROUTE},203.0.113.2/32`);
    await settled('all was written');
    const server = new URL(speaker.state().knowledge.source);
    await stage.api.close();
    const told = () => stage.logged({ event: 'knowledgeStale' });
    await stage.until('it is told', () => told().length === 1);
    await stage.clock.advance(150_000);
    await stage.until('and told again', () => told().length >= 3);
    expect(told().length).toBeLessThanOrEqual(4);
    const ages = told().map(({ ageMs }) => Number(ageMs));
    expect(ages).toEqual([...ages].sort((a, b) => a - b));
    expect(ages[0]).toBeLessThan(10_000);
    expect(ages.at(-1)).toBeGreaterThan(100_000);
    expect(await metric(speaker, 'fairway_knowledge_stale_bool')).toBe('1');
    expect(Number(await metric(speaker, 'fairway_knowledge_age_seconds'))).toBeGreaterThan(100);
    expect(speaker.state().knowledge.problem).toContain('services: cannot');
    expect(speaker.ready).toBe(true);
    expect(stage.table).toBe(`${ROUTE},203.0.113.2/32`);
    stage.api.remove(PATH.services, 'app/dns');
    await stage.api.listen(Number(server.port));
    await stage.holds(ROUTE);
    await stage.until('that is told too', () => stage.logged({ event: 'knowledgeFresh' }).length === 1, 1_000);
    expect(stage.sessions).toBe(1);
    expect(await metric(speaker, 'fairway_knowledge_stale_bool')).toBe('0');
  });

  it('when a kind is served no more, its objects count as they were', async () => {
    stage.configure().serve('web', WEB);
    const speaker = await stage.speak();
    await stage.holds(ROUTE);
    stage.api.withdraw(PATH.peers);
    await stage.until('that is told', () => stage.logged({ resource: 'bgppeers' }).length > 0);
    await stage.clock.advance(60_000);
    stage.serve('dns', '203.0.113.2');
    await stage.holds(`${ROUTE},203.0.113.2/32`);
    expect([stage.sessions, speaker.state().knowledge.configuration.accepted]).toEqual([1, true]);
  });
});

describe('beside MetalLB', () => {
  const configuration = { metadata: { name: 'metallb-n1', namespace: NAMESPACE }, spec: {} };

  it('nobody is dialled while frr-k8s announces for this node, and the command that hands over is told', async () => {
    stage.api.serve(FRR_CONFIGURATIONS);
    const labels = { 'metallb.io/node': 'n1', 'metallb.io/service-name': 'web', 'metallb.io/service-namespace': 'app' };
    const status = { node: 'n1', serviceName: 'web', serviceNamespace: 'app', peers: ['tor'] };
    stage.put(PATH.statuses, { metadata: { name: 'bgp-x7k2p', labels }, status });
    stage.put(FRR_CONFIGURATIONS, configuration).configure().serve('web', WEB);
    const speaker = await stage.speak({ bgpType: 'frr-k8s' });
    await stage.until('it is told', () => unserved(speaker).includes('tor: frrK8sStillAnnounces'));
    const command = 'kubectl delete frrconfiguration metallb-n1 -n metallb-system';
    expect(JSON.stringify(speaker.state().peers)).toContain(command);
    expect(stage.sessions).toBe(0);
    stage.api.remove(FRR_CONFIGURATIONS, `${NAMESPACE}/metallb-n1`);
    await stage.holds(ROUTE);
    stage.put(FRR_CONFIGURATIONS, configuration);
    await stage.holds('');
    // with its definition gone nobody announces for it
    stage.api.withdraw(FRR_CONFIGURATIONS);
    await stage.holds(ROUTE);
    // what MetalLB wrote of it is true all the time
    await stage.until('the state', () => statusOf(stage.object(PATH.states, 'speaker-n1')) !== undefined);
    expect(stage.writes.filter((write) => !write.includes('configurationstates'))).toEqual([]);
  });

  it('a cluster without frr-k8s has nothing to wait for, and nothing to tell', async () => {
    stage.configure().serve('web', WEB);
    await stage.speak({ bgpType: 'frr-k8s' });
    await stage.holds(ROUTE);
    expect(stage.logged({ resource: 'frrconfigurations' })).toEqual([]);
  });

  it('a peer that FRR would not dial is not dialled in its modes', async () => {
    stage.configure({ peerAddress: '198.51.100.77' });
    const speaker = await stage.speak({ bgpType: 'frr' });
    await stage.until('it is told', () => unserved(speaker).includes('tor: peerNotConnected'));
    expect(await metric(speaker, 'fairway_bgp_unserved_peers{reason="peerNotConnected"}')).toBe('1');
  });
});
