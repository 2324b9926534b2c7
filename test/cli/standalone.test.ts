// A folder of manifests to a router's table and back, on loopback: our own collector is the router, and what it holds is
// what counts.

import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Collector } from '../../src/cli/collector.ts';
import type { Log } from '../../src/io/log.ts';
import type { SpeakerReport } from '../../src/speaker.ts';
import { Standalone, type StandaloneOptions } from '../../src/standalone.ts';
import { at, freePeerPort, until } from '../io/sockets.ts';
import { Running } from './processes.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
});

/** A folder with a pool, an advertisement and a peer on this port. */
class Manifests {
  readonly root = mkdtempSync(join(tmpdir(), 'fairway-standalone-'));
  readonly path = join(this.root, 'manifests');

  constructor(port: number, peer = '') {
    cleanUp.push(() => rmSync(this.root, { recursive: true, force: true }));
    rmSync(this.path, { recursive: true, force: true });
    renameSync(mkdtempSync(join(this.root, 'new-')), this.path);
    this.write('config.yaml', config(port, peer));
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.root, 'next'), text);
    renameSync(join(this.root, 'next'), join(this.path, name));
  }

  remove(name: string): void {
    rmSync(join(this.path, name));
  }
}

const config = (port: number, peer = '', pool = '192.0.2.0/28') => `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: main, namespace: metallb-system}
spec: {addresses: [${pool}]}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: all, namespace: metallb-system}
spec: {communities: ["64512:7"]}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: tor, namespace: metallb-system}
spec: {myASN: 64513, peerASN: 64512, peerAddress: 127.0.0.1, sourceAddress: 127.0.0.2, peerPort: ${port}${peer}}
`;
const service = (name: string, spec = 'type: LoadBalancer', ready = true) => `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: app}
spec: {${spec}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}, namespace: app, labels: {kubernetes.io/service-name: ${name}}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1], conditions: {ready: ${ready}}}]
`;

type Line = Readonly<Record<string, unknown>> & { readonly level: string; readonly msg: string };

function logInto(lines: Line[]): Log {
  const at = (level: string) => (fields: Readonly<Record<string, unknown>>, msg: string) =>
    void lines.push({ ...fields, level, msg });
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), fatal: at('fatal') };
}

async function router(port: number) {
  const reports: SpeakerReport[] = [];
  const collector = new Collector({ at: at('127.0.0.1', port), as: 64512, peers: [], peerAs: 'external' }, (report) =>
    reports.push(report),
  );
  cleanUp.push(() => collector.leave());
  collector.start();
  await until('the router listens', () => reports.find(({ report }) => report === 'listening'));
  const table = () =>
    collector
      .peers()
      .flatMap(({ routes = [] }) => routes.map(({ prefix }) => prefix))
      .sort()
      .join();
  return {
    collector,
    reports,
    table,
    holds: (wanted: string) =>
      until(`a table of "${wanted}", it is "${table()}"`, () => (table() === wanted ? true : undefined)),
    downs: () => reports.filter((report) => report.report === 'peer-down'),
  };
}

async function start(manifests: Manifests, more: Partial<StandaloneOptions> = {}) {
  const lines: Line[] = [];
  const options: StandaloneOptions = {
    ...{ manifests: manifests.path, node: 'n1', http: at('127.0.0.1', 0), listen: [] },
    ...{ stateFile: join(manifests.root, 'state.json'), settings: { ignoreExcludeLabel: false } },
    ...{ bgpType: 'unset', namespace: 'metallb-system', version: '1.2.3' },
    ...more,
  };
  const standalone = await Standalone.start(options, logInto(lines));
  let left: Promise<void> | undefined;
  const leave = () => {
    left ??= standalone.leave();
    return left;
  };
  cleanUp.push(leave);
  const get = async (path: string) => fetch(`http://127.0.0.1:${standalone.http?.port}${path}`);
  return {
    standalone,
    lines,
    leave,
    get,
    metric: async (line: string) => {
      const text = await (await get('/metrics')).text();
      return text
        .split('\n')
        .find((each) => each.startsWith(`${line} `))
        ?.slice(line.length + 1);
    },
    logged: (fields: Readonly<Record<string, unknown>>) =>
      until(`a line ${JSON.stringify(fields)}`, () =>
        lines.find((line) => Object.entries(fields).every(([key, value]) => line[key] === value)),
      ),
  };
}

describe('standalone', () => {
  it('gives a Service an address, announces it, follows its endpoints and takes it back', async () => {
    const port = await freePeerPort();
    const [tor, manifests] = [await router(port), new Manifests(port)];
    manifests.write('web.yaml', service('web'));
    const { standalone, logged, metric, get } = await start(manifests);
    await tor.holds('192.0.2.0/32');
    const [route] = tor.collector.peers()[0]?.routes ?? [];
    expect(route?.path).toMatchObject({
      nextHop: '127.0.0.2',
      asPath: [{ is: 'sequence', as: [64513] }],
      communities: [64512 * 65536 + 7],
    });
    manifests.write('web.yaml', service('web', 'type: LoadBalancer', false));
    await tor.holds('');
    expect(await logged({ event: 'serviceWithdrawn' })).toMatchObject({ service: 'app/web', reason: 'noEndpoints' });
    manifests.write('web.yaml', service('web'));
    // back within a moment: it waits, and that is shown
    const waiting = await until('held back', () => standalone.state().held[0]);
    expect(waiting).toEqual({ prefix: '192.0.2.0/32', until: expect.stringMatching(/^\d{4}-.*Z$/) });
    expect(await metric('fairway_bgp_held_prefixes')).toBe('1');
    await tor.holds('192.0.2.0/32');
    expect(standalone.state().held).toEqual([]);
    const { services, peers, process: seen, knowledge } = standalone.state();
    expect(services).toEqual([
      {
        ...{ service: 'app/web', ips: ['192.0.2.0'], pool: 'main', reason: '', message: '' },
        ...{ announced: [{ protocol: 'bgp', by: 'n1' }], withheld: [] },
      },
    ]);
    expect(peers[0]).toMatchObject({
      ...{ name: 'tor', address: '127.0.0.1', port, state: 'Established', families: ['ipv4-unicast'] },
      local: { address: '127.0.0.2', as: 64513 },
      remote: { as: 64512 },
      announced: [{ prefix: '192.0.2.0/32', nextHop: '127.0.0.2', communities: ['64512:7'], localPref: null }],
    });
    expect(seen).toMatchObject({ version: '1.2.3', role: 'standalone', node: 'n1', ready: true });
    expect(knowledge.configuration).toEqual({ accepted: true, error: '' });
    expect(await metric(`metallb_bgp_session_up{peer="127.0.0.1:${port}"}`)).toBe('1');
    expect(await metric('metallb_speaker_announced{service="app/web",protocol="bgp",node="n1",ip="192.0.2.0"}')).toBe(
      '1',
    );
    expect(await metric('metallb_allocator_addresses_in_use_total{pool="main"}')).toBe('1');
    expect([(await get('/readyz')).status, (await get('/healthz')).status]).toEqual([200, 200]);
    manifests.remove('web.yaml');
    await tor.holds('');
    expect(await metric('metallb_allocator_addresses_in_use_total{pool="main"}')).toBe('0');
    expect(tor.downs()).toEqual([]);
  });

  it('keeps the old configuration, and the session, while a new one is refused; series go with their peer', async () => {
    const port = await freePeerPort();
    const [tor, manifests] = [await router(port), new Manifests(port)];
    manifests.write('web.yaml', service('web'));
    const { standalone, logged, metric } = await start(manifests);
    await tor.holds('192.0.2.0/32');
    manifests.write('config.yaml', config(port, '', '192.0.2.0/99'));
    const line = await logged({ op: 'setConfig', level: 'error' });
    expect(line.msg).toBe('configuration refused, the old one stays');
    expect(String(line['error'])).toContain('192.0.2.0/99');
    expect(standalone.state().knowledge.configuration).toEqual({ accepted: false, error: line['error'] });
    expect(await metric('metallb_k8s_client_config_stale_bool')).toBe('1');
    expect(await metric('metallb_k8s_client_config_loaded_bool')).toBe('1');
    manifests.write('other.yaml', service('other'));
    await tor.holds('192.0.2.0/32,192.0.2.1/32');
    manifests.write('config.yaml', 'kind: [unclosed');
    const fault = await logged({ op: 'readManifests', level: 'error' });
    expect(fault).toMatchObject({ file: join(manifests.path, 'config.yaml'), rule: 'yaml' });
    manifests.write('config.yaml', config(port));
    await until('the configuration is back', () =>
      standalone.state().knowledge.configuration.accepted ? true : undefined,
    );
    expect(await metric('metallb_k8s_client_config_stale_bool')).toBe('0');
    expect([tor.table(), tor.downs()]).toEqual(['192.0.2.0/32,192.0.2.1/32', []]);
    manifests.remove('config.yaml');
    await until('the peer is gone', () => (standalone.state().peers.length === 0 ? true : undefined));
    expect(await metric(`metallb_bgp_session_up{peer="127.0.0.1:${port}"}`)).toBeUndefined();
    await until('the Cease', () => tor.downs()[0]);
    expect(tor.downs()[0]).toMatchObject({ received: { code: 6, subcode: 3 } });
  });

  it('leaves with a Cease and text, and gives the same addresses after a restart', async () => {
    const port = await freePeerPort();
    const [tor, manifests] = [await router(port), new Manifests(port)];
    manifests.write('a.yaml', service('first'));
    manifests.write('b.yaml', service('second'));
    const before = await start(manifests);
    await tor.holds('192.0.2.0/32,192.0.2.1/32');
    manifests.remove('a.yaml');
    await tor.holds('192.0.2.1/32');
    await before.leave();
    await until('the Cease', () => tor.downs()[0]);
    expect(tor.downs()[0]).toMatchObject({ received: { code: 6, subcode: 2 } });
    expect(tor.downs()[0]).toMatchObject({ why: expect.stringContaining('speaker is shutting down') });
    expect(JSON.parse(readFileSync(join(manifests.root, 'state.json'), 'utf8'))).toEqual({
      services: { 'app/second': { ips: ['192.0.2.1'], pool: 'main' } },
    });
    manifests.write('0.yaml', service('third'));
    const after = await start(manifests);
    await until('both', () => (after.standalone.state().services.length === 2 ? true : undefined));
    const ips = after.standalone.state().services.map((each) => [each.service, ...each.ips]);
    expect(ips).toEqual([
      ['app/third', '192.0.2.0'],
      ['app/second', '192.0.2.1'],
    ]);
  });

  it('remembers through a restart what a Service had whose manifest was broken meanwhile', async () => {
    const manifests = new Manifests(await freePeerPort());
    manifests.write('web.yaml', service('web'));
    const before = await start(manifests);
    await before.logged({ event: 'ipAllocated' });
    await before.leave();
    const state = () => JSON.parse(readFileSync(join(manifests.root, 'state.json'), 'utf8')).services;
    const web = { 'app/web': { ips: ['192.0.2.0'], pool: 'main' } };
    expect(state()).toEqual(web);
    for (const broken of [service('web', 'type: LoadBalancer, ports: [{port: "80"}]'), 'kind: [unclosed']) {
      manifests.write('web.yaml', broken);
      manifests.write('other.yaml', service('other'));
      const after = await start(manifests);
      const served = () => after.standalone.state().services.find((each) => each.service === 'app/other');
      expect(await until('the other Service', served)).toMatchObject({ ips: ['192.0.2.1'] });
      await after.leave();
      expect(state()).toEqual({ ...web, 'app/other': { ips: ['192.0.2.1'], pool: 'main' } });
    }
  });

  it('says in its first OPEN that it has restarted and that its data plane still forwards (RFC 4724 §3)', async () => {
    const port = await freePeerPort();
    const said: Buffer[] = [];
    const server = createServer((socket) =>
      socket.on('data', (bytes) => said.push(bytes)).on('error', () => undefined),
    );
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    cleanUp.push(() => server.close());
    await start(new Manifests(port, ', enableGracefulRestart: true'));
    await until('an OPEN', () => said[0]);
    // capability 64, 6 octets: R and N bits, 120 s; IPv4 unicast with its F bit
    expect(Buffer.concat(said).toString('hex')).toContain('4006c07800010180');
  });

  it('holds a session of 3 s through a file of 10 MB, and refuses a document over 1 MiB by its line', async () => {
    const port = await freePeerPort();
    const [tor, manifests] = [await router(port), new Manifests(port, ', holdTime: 3s, keepaliveTime: 1s')];
    manifests.write('web.yaml', service('web'));
    const { logged } = await start(manifests);
    await tor.holds('192.0.2.0/32');
    const pad = `# ${'x'.repeat(5_000)}\n`;
    const big = Array.from({ length: 2_000 }, (_, i) => `${service(`s${i}`, 'type: ClusterIP')}${pad}`);
    expect(big.join('---\n').length).toBeGreaterThan(10_000_000);
    manifests.write('big.yaml', [...big, service('last')].join('---\n'));
    await until(
      'the last document of the big file',
      () => (tor.table().includes('192.0.2.1/32') ? true : undefined),
      60_000,
    );
    manifests.write('huge.yaml', `${service('x')}---\n{"kind": "${'x'.repeat(1 << 20)}"}`);
    expect(await logged({ rule: 'too-large' })).toMatchObject({ file: join(manifests.path, 'huge.yaml'), line: 12 });
    expect(tor.downs()).toEqual([]);
  }, 90_000);

  it('names a peer that it cannot serve: a source that is not here, a port that refuses', async () => {
    const port = await freePeerPort();
    const manifests = new Manifests(port);
    manifests.write('config.yaml', config(port).replace('127.0.0.2', '198.51.100.77'));
    const { standalone, logged, metric } = await start(manifests);
    const line = await logged({ op: 'connect' });
    expect(line).toMatchObject({ peer: `127.0.0.1:${port}`, peerName: 'tor', localASN: 64513, peerASN: 64512 });
    expect(String(line['error'])).toContain('no interface of this node has this address');
    expect(standalone.state().peers[0]?.lastError).toMatchObject({ code: 'EADDRNOTAVAIL' });
    expect(await metric(`fairway_bgp_last_error{peer="127.0.0.1:${port}",code="EADDRNOTAVAIL"}`)).toBe('1');
    manifests.write('config.yaml', config(port));
    await until('refused', () => (standalone.state().peers[0]?.lastError?.code === 'ECONNREFUSED' ? true : undefined));
  });

  it('accepts configured peers where it is told to listen, and nobody else', async () => {
    const [port, own] = [await freePeerPort(), await freePeerPort()];
    const { standalone, logged, metric } = await start(new Manifests(port), { listen: [at('127.0.0.1', own)] });
    await logged({ op: 'listen' });
    expect(standalone.state().listening).toEqual([{ address: `127.0.0.1:${own}`, error: '' }]);
    expect(await metric(`fairway_bgp_listening{address="127.0.0.1:${own}"}`)).toBe('1');
    const stranger = dial({ host: '127.0.0.1', port: own, localAddress: '127.0.0.9' });
    await new Promise((resolve) => stranger.on('error', resolve));
    expect(await logged({ op: 'accept' })).toMatchObject({ error: 'no peer has this address' });
    expect(await metric('fairway_connections_refused_total')).toBe('1');
    const octets: Buffer[] = [];
    const peer = dial({ host: '127.0.0.1', port: own, localAddress: '127.0.0.1' });
    cleanUp.push(() => peer.destroy());
    peer.on('data', (bytes) => octets.push(bytes)).on('error', () => undefined);
    await until('an OPEN', () => octets[0]);
    expect(octets[0]?.subarray(16, 19).toString('hex')).toMatch(/^00..01$/);
    peer.write('GET / HTTP/1.1\r\n\r\n');
    await until('the NOTIFICATION', () =>
      Buffer.concat(octets).includes(Buffer.from('0015030101', 'hex')) ? true : undefined,
    );
    expect(standalone.state().peers[0]?.lastError?.code).toBe('1/1');
  });

  it('goes on dialling where it cannot listen, and names the port in use', async () => {
    const port = await freePeerPort();
    const tor = await router(port);
    const manifests = new Manifests(port);
    manifests.write('web.yaml', service('web'));
    const { standalone, logged, metric } = await start(manifests, { listen: [at('127.0.0.1', port)] });
    expect(await logged({ op: 'listen' })).toMatchObject({ level: 'error', address: `127.0.0.1:${port}` });
    expect(standalone.state().listening[0]?.error).toContain('address already in use');
    expect(await metric(`fairway_bgp_listening{address="127.0.0.1:${port}"}`)).toBe('0');
    await tor.holds('192.0.2.0/32');
  });

  it('says why there is no address, and tells of what it does not know', async () => {
    const port = await freePeerPort();
    const manifests = new Manifests(port);
    manifests.write('web.yaml', service('web', 'type: LoadBalancer, loadBalancerIP: 010.0.0.1'));
    manifests.write('z.yaml', '{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}');
    const { standalone, logged, metric } = await start(manifests);
    expect(await logged({ rule: 'ignored' })).toMatchObject({
      level: 'warn',
      error: 'ignored: objects of kind ConfigMap (v1)',
    });
    expect(standalone.state().services[0]).toMatchObject({ ips: [], reason: 'requestedIPInvalid' });
    expect(await metric('fairway_services_without_address{reason="requestedIPInvalid"}')).toBe('1');
  });

  it('is not ready before the folder was read, and does not start on a broken state file', async () => {
    const manifests = new Manifests(await freePeerPort());
    const missing = join(manifests.root, 'missing');
    const { get, logged } = await start(manifests, { manifests: missing });
    expect(await logged({ op: 'readManifests' })).toMatchObject({
      level: 'error',
      msg: 'nothing was read yet, the folder is waited for',
      error: expect.stringContaining(`cannot read the folder ${missing}: ENOENT`),
    });
    expect((await get('/readyz')).status).toBe(503);
    renameSync(manifests.path, missing);
    await logged({ event: 'config reloaded' });
    expect((await get('/readyz')).status).toBe(200);
    renameSync(missing, manifests.path);
    await logged({ op: 'readManifests', msg: 'what was read before stays' });
    writeFileSync(join(manifests.root, 'broken.json'), '{');
    await expect(start(manifests, { stateFile: join(manifests.root, 'broken.json') })).rejects.toThrow(
      'broken.json is broken',
    );
  });
});

describe('fairway standalone', () => {
  it('logs JSON lines, leaves on SIGTERM and ends with 0', async () => {
    const port = await freePeerPort();
    const [tor, manifests] = [await router(port), new Manifests(port)];
    manifests.write('web.yaml', service('web'));
    const folder = `${manifests.path}/.`;
    const running = new Running(['standalone', '--manifests', folder, '--node', 'n1', '--http', '127.0.0.1:0']);
    cleanUp.push(() => running.kill());
    await tor.holds('192.0.2.0/32');
    const up = await running.log({ event: 'sessionUp' });
    expect(up['ts']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(up['level']).toBe('info');
    for (const event of ['ipAllocated', 'peerAdded', 'serviceAnnounced', 'config reloaded'])
      await running.log({ event });
    const start = performance.now();
    running.signal('SIGTERM');
    expect(await running.ended()).toBe(0);
    expect(performance.now() - start).toBeLessThan(5_000);
    await until('the Cease', () => tor.downs()[0]);
    expect(tor.downs()[0]).toMatchObject({ received: { code: 6, subcode: 2 } });
    // beside the folder, however it is named, not in it
    expect(readdirSync(manifests.path).sort()).toEqual(['config.yaml', 'web.yaml']);
    expect(JSON.parse(readFileSync(`${manifests.path}.state.json`, 'utf8')).services).toHaveProperty('app/web');
  });

  it('ends with 1 and the address when HTTP cannot be served, with 2 on a wrong call', async () => {
    const port = await freePeerPort();
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(port, '127.0.0.1', resolve));
    cleanUp.push(() => holder.close());
    const manifests = new Manifests(port);
    const args = ['standalone', '--manifests', manifests.path, '--node', 'n1'];
    const taken = new Running([...args, '--http', `127.0.0.1:${port}`]);
    const wrong = new Running([...args, '--bgp-listen', '010.0.0.1:179']);
    const mode = new Running([...args, '--http', '127.0.0.1:0'], [], { METALLB_BGP_TYPE: 'bird' });
    cleanUp.push(() => Promise.all([taken.kill(), wrong.kill(), mode.kill()]));
    expect(await taken.ended()).toBe(1);
    expect(taken.lines.at(-1)).toContain(`cannot serve HTTP on 127.0.0.1:${port}: address already in use`);
    expect(await wrong.ended()).toBe(2);
    expect(wrong.errors[0]).toContain('"010.0.0.1:179" is not ADDRESS:PORT');
    expect(await mode.ended()).toBe(2);
    expect(mode.errors.join()).toContain('METALLB_BGP_TYPE is "bird"');
  });

  it('ends at once at a second signal', async () => {
    const port = await freePeerPort();
    // a router that never closes: leaving takes its two seconds
    const server = createServer({ allowHalfOpen: true }, (socket) => socket.resume().on('error', () => undefined));
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    cleanUp.push(() => server.close());
    const args = ['standalone', '--manifests', new Manifests(port).path, '--node', 'n1', '--http', '127.0.0.1:0'];
    const running = new Running([...args, '--log-level', 'debug']);
    cleanUp.push(() => running.kill());
    await running.log({ event: 'peerState', to: 'OpenSent' });
    running.signal('SIGTERM');
    await running.log({ op: 'shutdown' });
    const start = performance.now();
    await until('the echo time is over', () => (performance.now() - start > 600 ? true : undefined));
    running.signal('SIGTERM');
    expect(await running.ended()).toBe(143);
  });
});
