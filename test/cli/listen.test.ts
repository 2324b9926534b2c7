// The collector and the demo as a user runs them.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { whatIsMissing } from '../../src/cli/demo.ts';
import { freePeerPort, freePort, until } from '../io/sockets.ts';
import { Running } from './processes.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
});

function run(args: readonly string[], wrap: readonly string[] = []): Running {
  const running = new Running(args, wrap);
  cleanUp.push(() => running.kill());
  return running;
}

/** Manifests of one Service and a speaker for them that dials this port. */
function speaker(port: number): Running {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-listen-'));
  cleanUp.push(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(
    join(folder, 'all.yaml'),
    `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: main}
spec: {addresses: ["2001:db8::10/128", 192.0.2.1/32]}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: all}
spec: {localPref: 0, communities: ["large:64513:1:2"]}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: tor}
spec: {myASN: 64513, peerASN: 64512, peerAddress: 127.0.0.1, sourceAddress: 127.0.0.2, peerPort: ${port}, dualStackAddressFamily: true}
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: LoadBalancer, ipFamilyPolicy: RequireDualStack}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}]
`,
  );
  const state = ['--state', join(folder, '.state')];
  return run(['standalone', '--manifests', folder, '--node', 'n1', '--http', '127.0.0.1:0', ...state]);
}

describe('fairway listen', () => {
  it('prints peers and their routes with all attributes, one JSON object a change; leaves with a Cease', async () => {
    const port = await freePeerPort();
    const listen = run(['listen', '--bgp', `127.0.0.1:${port}`, '--as', '64512', '-o', 'json']);
    const tor = speaker(port);
    const objects = () => listen.lines.map((line) => JSON.parse(line));
    const last = await until('both routes', () => objects().find(({ peers }) => peers[0]?.routes.length === 2));
    expect(last.peers).toHaveLength(1);
    expect(last.peers[0]).toMatchObject({
      ...{ name: '127.0.0.2', address: '127.0.0.2', state: 'Established', families: ['ipv4-unicast', 'ipv6-unicast'] },
      ...{ local: { as: 64512 }, remote: { as: 64513 } },
    });
    const routes = last.peers[0].routes.toSorted((a: { prefix: string }, b: { prefix: string }) =>
      a.prefix < b.prefix ? -1 : 1,
    );
    expect(routes).toEqual([
      {
        ...{ prefix: '192.0.2.1/32', nextHop: '127.0.0.2', origin: 'igp', asPath: '64513' },
        ...{ communities: ['large:64513:1:2'], localPref: null, med: null },
      },
      expect.objectContaining({ prefix: '2001:db8::10/128', asPath: '64513' }),
    ]);
    expect(listen.lines.join()).not.toContain('undefined');
    listen.signal('SIGINT');
    expect(await listen.ended()).toBe(0);
    const down = await tor.log({ event: 'sessionDown' });
    expect(down['notificationReceived']).toContain('6/2');
  });

  it('tells in lines what comes and goes', async () => {
    const port = await freePeerPort();
    const listen = run(['listen', '--bgp', `127.0.0.1:${port}`, '--peer', '127.0.0.2', '--peer-as', '64513']);
    const tor = speaker(port);
    const line = (part: string) => until(part, () => listen.lines.find((each) => each.includes(part)));
    expect(await line('listens on')).toContain('any next hop is taken');
    expect(await line('+ 127.0.0.2 192.0.2.1/32')).toContain(
      'next hop 127.0.0.2, AS path 64513, communities large:64513:1:2',
    );
    await line('127.0.0.2: Established');
    tor.signal('SIGTERM');
    await line('speaker is shutting down');
    await line('- 127.0.0.2 192.0.2.1/32');
  });

  it('accepts named peers alone', async () => {
    const port = await freePort();
    const listen = run(['listen', '--bgp', `127.0.0.1:${port}`, '--peer', '127.0.0.2']);
    await until('listening', () => listen.lines[0]);
    const stranger = dial({ host: '127.0.0.1', port, localAddress: '127.0.0.3' });
    await new Promise((resolve) => stranger.on('error', resolve));
    await until('refused', () => listen.lines.find((each) => each.includes('refused, no --peer has this address')));
  });

  it('names a port in use', async () => {
    const port = await freePort();
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(port, '127.0.0.1', resolve));
    cleanUp.push(() => holder.close());
    const listen = run(['listen', '--bgp', `127.0.0.1:${port}`]);
    expect(await listen.ended()).toBe(1);
    expect(listen.errors[0]).toMatch(new RegExp(`^cannot listen on 127.0.0.1:${port}: .*address already in use`));
  });

  it('ends when nobody reads its lines any more', async () => {
    const port = await freePeerPort();
    const listen = run(['listen', '--bgp', `127.0.0.1:${port}`, '-o', 'json']);
    speaker(port);
    await until('a first object', () => listen.lines[0]);
    listen.process.stdout.destroy();
    const stranger = dial({ host: '127.0.0.1', port, localAddress: '127.0.0.3' });
    stranger.on('error', () => undefined);
    cleanUp.push(() => stranger.destroy());
    expect(await listen.ended()).toBe(0);
  });

  it.each([
    ['--as', '0', 'no AS number'],
    ['--bgp', '1790', 'is not ADDRESS:PORT'],
    ['--router-id', '::1', 'a router id is written as an IPv4 address'],
    ['--peer-as', 'both', 'no AS number'],
    ['-o', 'yaml', 'Allowed choices are json'],
  ])('refuses %s %s', async (flag, value, message) => {
    const listen = run(['listen', flag, value]);
    expect(await listen.ended()).toBe(2);
    expect(listen.errors.join()).toContain(message);
  });
});

describe('fairway demo', () => {
  // the examples name a port, so the demo gets a network of its own where it can
  const alone =
    process.getuid?.() === 0 ? ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'] : [];

  it('--once shows the routes of the examples in the router and ends with 0', async () => {
    const demo = run(['demo', '--once'], alone);
    expect([await demo.ended(), demo.errors]).toEqual([0, []]);
    const text = demo.lines.join('\n');
    expect(text).toMatch(/^198\.51\.100\.15\/32 +127\.0\.0\.2 +64513 +64513:100 65535:65281 large:64513:1:7$/m);
    expect(text).toMatch(/^2001:db8:40::100\/128 +::1 +64513 /m);
    expect(demo.lines).toContain('All is announced.');
    expect(demo.lines.at(-1)).toBe('The speaker has left; the router holds none of its routes.');
  });

  const frr = process.getuid?.() === 0 && existsSync('/usr/lib/frr/bgpd');
  it.skipIf(!frr)(
    '--frr shows the same routes in the table of FRR itself (needs root and FRR)',
    async () => {
      const demo = run(['demo', '--once', '--frr']);
      expect([await demo.ended(), demo.errors]).toEqual([0, []]);
      expect(demo.lines.join('\n')).toMatch(
        /^203\.0\.113\.16\/32 +192\.0\.2\.2 +64513 +64513:100 noExport large:64513:1:7$/m,
      );
    },
    60_000,
  );

  it('ends at once and cleanly on a signal', async () => {
    const demo = run(['demo'], alone);
    await until('all is announced', () => demo.lines.find((line) => line === 'All is announced.'));
    demo.signal('SIGINT');
    expect([await demo.ended(), demo.errors]).toEqual([0, []]);
  });

  it('says what is missing', () => {
    const service = { service: 'a/b', ips: ['192.0.2.1'], reason: '' };
    const peer = { name: 'tor', state: 'Idle', lastError: { text: 'connection refused' } };
    const state = { services: [service, { service: 'a/c', ips: [], reason: 'poolExhausted' }], peers: [peer] };
    const route = { prefix: '192.0.2.0/31', nextHop: '', asPath: '', communities: [] };
    expect(whatIsMissing(state, [])).toEqual([
      'a/c has no address (poolExhausted)',
      'tor is Idle (connection refused)',
      'the router has no route to 192.0.2.1 of a/b',
    ]);
    const up = { ...state, services: [service], peers: [{ ...peer, state: 'Established' }] };
    expect(whatIsMissing(up, [{ ...route, prefix: '192.0.2.2/31' }])).toHaveLength(1);
    expect(whatIsMissing(up, [route])).toEqual([]);
  });
});
