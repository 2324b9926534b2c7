// `fairway plan` as scripts see it: JSON, tables, exit codes, and what goes to which stream.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type PlanReport, runPlan } from '../../src/cli/plan.ts';

const CLUSTER = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: main}
spec: {addresses: [203.0.113.7/32]}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: all}
spec: {communities: [ours], localPref: 100}
---
apiVersion: metallb.io/v1beta1
kind: Community
metadata: {name: c}
spec: {communities: [{name: ours, value: "64512:1"}]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: lan}
spec: {interfaces: [eth0]}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: tor-a}
spec: {myASN: 64513, peerASN: 64512, peerAddress: 192.0.2.1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: app}
spec: {type: LoadBalancer, clusterIP: 10.0.0.1, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: late, namespace: app}
spec: {type: LoadBalancer, clusterIP: 10.0.0.2, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: app, labels: {kubernetes.io/service-name: web}}
endpoints: [{addresses: [10.1.0.1], nodeName: n1}]
`;
const NODE = '---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\n';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plan-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Call {
  readonly text?: string;
  readonly node?: string;
  readonly json?: boolean;
  readonly tty?: boolean;
  readonly files?: readonly string[];
  readonly loadBalancerClass?: string;
}

async function run({ text = '', node, json = true, tty = false, files = ['-'], loadBalancerClass }: Call) {
  const [out, err]: [string[], string[]] = [[], []];
  const input = async function* () {
    yield Buffer.from(text);
  };
  const settings = { ignoreExcludeLabel: false, ...(loadBalancerClass !== undefined && { loadBalancerClass }) };
  const code = await runPlan(
    files,
    { json, settings, ...(node !== undefined && { node }) },
    {
      stdin: input(),
      stdout: { write: (part) => out.push(part), isTTY: tty },
      stderr: { write: (part) => err.push(part) },
      environment: {},
    },
  );
  return { code, stdout: out.join(''), stderr: err.join('').split('\n').filter(Boolean) };
}

const report = ({ stdout }: { readonly stdout: string }): PlanReport => JSON.parse(stdout);

describe('fairway plan', () => {
  it('prints who gets what and who announces it', async () => {
    const answer = await run({ text: CLUSTER + NODE });
    expect([answer.code, answer.stderr]).toEqual([0, []]);
    const { services, announcements, withheld } = report(answer);
    expect(services).toEqual([
      { service: 'app/web', ips: ['203.0.113.7'], pool: 'main', reason: '', message: '' },
      { service: 'app/late', ips: [], pool: '', reason: 'noAvailableIPs', message: 'no available IPs' },
    ]);
    expect(announcements).toEqual([
      {
        ...{
          node: 'n1',
          protocol: 'bgp',
          prefix: '203.0.113.7/32',
          peers: ['tor-a'],
          communities: ['64512:1'],
          localPref: 100,
        },
        services: ['app/web'],
      },
      { node: 'n1', protocol: 'layer2', prefix: '203.0.113.7/32', service: 'app/web', interfaces: ['eth0'] },
    ]);
    expect(withheld.map(({ service, protocol, reason }) => [service, protocol, reason])).toEqual([
      ['app/late', 'bgp', 'noIPAllocated'],
      ['app/late', 'layer2', 'noIPAllocated'],
    ]);
  });

  it('tells what BFD would run: profile, pace and hops as FRR takes them', async () => {
    const bgpPeer = (name: string, spec: string) =>
      `---\napiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {name: ${name}}\nspec: {myASN: 64513, ${spec}}\n`;
    const profile = (name: string, spec: string) =>
      `---\napiVersion: metallb.io/v1beta1\nkind: BFDProfile\nmetadata: {name: ${name}}\nspec: {${spec}}\n`;
    const text = [
      CLUSTER,
      NODE,
      profile(
        'fast',
        'receiveInterval: 50, transmitInterval: 60, detectMultiplier: 5, echoMode: true, echoInterval: 70',
      ),
      profile('far', 'minimumTtl: 250, passiveMode: true'),
      bgpPeer('near', 'peerASN: 64512, peerAddress: 192.0.2.2, bfdProfile: fast'),
      bgpPeer('near6', 'peerASN: 64512, peerAddress: "2001:db8::2", bfdProfile: fast'),
      bgpPeer('multi', 'peerASN: 64512, peerAddress: 192.0.2.3, ebgpMultiHop: true, bfdProfile: far'),
      bgpPeer('inside', 'peerASN: 64513, peerAddress: 192.0.2.4, bfdProfile: fast'),
    ].join('');
    const answer = await run({ text });
    expect([answer.code, answer.stderr]).toEqual([0, []]);
    const fast = { receiveIntervalMs: 50, transmitIntervalMs: 60, detectMultiplier: 5, passive: false };
    // what is not said is MetalLB's: 300 ms, 3
    const far = { receiveIntervalMs: 300, transmitIntervalMs: 300, detectMultiplier: 3, passive: true };
    const sessions = report(answer).bfd.toSorted((a, b) => (a.router < b.router ? -1 : 1));
    expect(sessions).toEqual([
      { node: 'n1', peer: 'near', profile: 'fast', router: '192.0.2.2', hops: 'single', ...fast, echoIntervalMs: 70 },
      { node: 'n1', peer: 'multi', profile: 'far', router: '192.0.2.3', hops: 'multi', ...far, minimumTtl: 250 },
      {
        ...{ node: 'n1', peer: 'inside', profile: 'fast', router: '192.0.2.4', hops: 'nearest' },
        ...{ ...fast, echoIntervalMs: 70, minimumTtl: 254 },
      },
      { node: 'n1', peer: 'near6', profile: 'fast', router: '2001:db8::2', hops: 'single', ...fast },
    ]);
    const lines = (await run({ text, json: false })).stdout.split('\n').map((line) => line.replace(/ {2,}/g, '|'));
    expect(lines).toContain('NODE|BFD WITH|ROUTER|HOPS|PROFILE|RECEIVE|TRANSMIT|MULTIPLIER|AND');
    expect(lines).toContain('n1|near|192.0.2.2|single|fast|50 ms|60 ms|5|echo 70 ms');
    expect(lines).toContain('n1|multi|192.0.2.3|multi|far|300 ms|300 ms|3|TTL at least 250, passive');
    const without = await run({ text: CLUSTER + NODE, json: false });
    expect(without.stdout).not.toContain('BFD');
  });

  it('assumes a bare node where there is none, and says so', async () => {
    const answer = await run({ text: CLUSTER });
    expect(answer.code).toBe(0);
    expect(answer.stderr).toEqual(['no Node in the files: one bare node "node" is assumed']);
    expect(report(answer).announcements.map(({ node }) => node)).toEqual(['node', 'node']);
  });

  it('takes a node that is in no file for a bare one', async () => {
    const answer = await run({ text: CLUSTER + NODE, node: 'n9' });
    expect([answer.code, answer.stderr]).toEqual([0, []]);
    const { announcements } = report(answer);
    // it stands for election beside n1, and wins by the hash of the address
    expect(announcements.map(({ node, protocol }) => `${node} ${protocol}`)).toEqual(['n9 bgp', 'n9 layer2']);
    const all = report(await run({ text: CLUSTER + NODE + NODE.replace('n1', 'n9') })).announcements;
    expect(all.map(({ node, protocol }) => `${node} ${protocol}`)).toEqual(['n1 bgp', 'n9 bgp', 'n9 layer2']);
  });

  it('refuses what validate refuses: findings on stderr, nothing on stdout, 1', async () => {
    const answer = await run({ text: CLUSTER.replace('203.0.113.7/32', '203.0.113.7') });
    expect([answer.code, answer.stdout]).toEqual([1, '']);
    expect(
      answer.stderr.filter((line) => /^-:\d+: IPAddressPool\/main: spec\.addresses\[0\]: /.test(line)),
    ).toHaveLength(1);
  });

  it.each([
    [
      'a Service that cannot be read',
      'ports: [{port: 80}]',
      'ports: [{port: x}]',
      /^-:30: Service\/web: spec\.ports\[0\]\.port: schema: /,
    ],
    ['a Service that stands twice', 'name: late', 'name: web', /^-:3\d: Service\/web: metadata\.name: duplicate: /],
  ])('refuses %s', async (_, from, to, line) => {
    const answer = await run({ text: CLUSTER.replace(from, to) + NODE });
    expect([answer.code, answer.stdout]).toEqual([1, '']);
    expect(answer.stderr).toHaveLength(1);
    expect(answer.stderr[0]).toMatch(line);
  });

  it('ignores other kinds and slices of no Service, and says so', async () => {
    const other = '---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n';
    const stray = '---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: stray}\nendpoints: []\n';
    const answer = await run({ text: CLUSTER + NODE + other + stray });
    expect(answer.code).toBe(0);
    expect(answer.stderr[0]).toBe('ignored: 1 of kind Deployment (apps/v1)');
    expect(answer.stderr[1]).toMatch(/^-:\d+: EndpointSlice\/stray: an EndpointSlice without the label/);
  });

  it('ends with 2 when it is called wrongly', async () => {
    const answer = await run({ files: [join(folder, 'nowhere.yaml')] });
    expect([answer.code, answer.stdout]).toEqual([2, '']);
    expect(answer.stderr[0]).toContain('no such file or folder');
  });

  it('reads folders, and serves the class it is told to', async () => {
    writeFileSync(
      join(folder, 'a.yaml'),
      CLUSTER.replace(
        '{type: LoadBalancer, clusterIP: 10.0.0.2',
        '{type: LoadBalancer, loadBalancerClass: x/y, clusterIP: 10.0.0.2',
      ),
    );
    writeFileSync(join(folder, 'b.yml'), NODE);
    const plain = report(await run({ files: [folder] }));
    expect(plain.services.map(({ service }) => service)).toEqual(['app/web']);
    const ofClass = report(await run({ files: [folder], loadBalancerClass: 'x/y' }));
    expect(ofClass.services.map(({ service, ips }) => [service, ips])).toEqual([['app/late', ['203.0.113.7']]]);
  });

  it('prints tables for people, with what to do', async () => {
    const { code, stdout } = await run({
      text: CLUSTER.replace('kubernetes.io/service-name: web', 'kubernetes.io/service-name: x') + NODE,
      json: false,
    });
    expect(code).toBe(0);
    expect(stdout).toBe(`\
SERVICE   ADDRESSES    POOL  WHY NOT
app/web   203.0.113.7  main
app/late  -            -     noAvailableIPs: no available IPs

NODE  PROTOCOL  PREFIX  TO  WITH

NOT ANNOUNCED  NODE  PROTOCOL  WHY NOT
app/web        n1    bgp       noEndpoints: no endpoint can serve
app/web        n1    layer2    notOwner: no node may: no endpoint can serve

What to do
noAvailableIPs: Add addresses of those families to a pool with \`autoAssign: true\`; both families of a Service come from one pool.
noEndpoints: Look at the readiness of the pods and at the selector of the Service.
notOwner: Nothing, if another node announces it. Else create an L2Advertisement or BGPAdvertisement for the pool that includes nodes with a ready endpoint.
`);
    expect((await run({ text: CLUSTER + NODE, json: false, tty: true })).stdout).toContain('\u001b[');
  });
});
