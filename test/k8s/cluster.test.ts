// The way to an API server and who we are there: a pod's ServiceAccount and kubeconfigs against a TLS server of the
// test; tokens and CAs that are rotated under us.

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createProxy, type IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { findAccess } from '../../src/k8s/access.ts';
import { Api } from '../../src/k8s/api.ts';
import { type Cluster, openCluster } from '../../src/k8s/cluster.ts';
import { NODES } from '../../src/k8s/kind.ts';
import { type Issued, issueCa, issueServer } from '../../src/k8s/x509.ts';
import { HandClock } from './hand-clock.ts';

const NAME = 'kubernetes.test';
const now = new Date();

let ca: Issued;
let otherCa: Issued;
let cert: Issued;
let otherCert: Issued;
beforeAll(async () => {
  [ca, otherCa] = await Promise.all([issueCa(now), issueCa(now)]);
  const names = [NAME, 'localhost'];
  [cert, otherCert] = await Promise.all([issueServer(ca, names, now), issueServer(otherCa, names, now)]);
});

let folder: string;
let server: Server;
let port: number;
let clock: HandClock;
let requests: IncomingMessage[];
let accepted: (request: IncomingMessage) => boolean;
const clusters: Cluster[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fairway-access-'));
  clock = new HandClock();
  requests = [];
  accepted = () => true;
  await serve(cert, 0);
});
afterEach(async () => {
  for (const cluster of clusters.splice(0)) cluster.close();
  await stop();
  rmSync(folder, { recursive: true });
});

async function serve({ cert: certificate, key }: Issued, at: number): Promise<void> {
  server = createServer(
    { cert: certificate, key, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      requests.push(request);
      response.statusCode = accepted(request) ? 200 : 401;
      response.end(JSON.stringify({ kind: 'Node', metadata: { name: 'n' } }));
    },
  );
  await new Promise<void>((resolve) => server.listen(at, 'localhost', resolve));
  ({ port } = server.address() as AddressInfo);
}

async function stop(): Promise<void> {
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

const write = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

/** The files of a ServiceAccount, and where a pod is told that the API server is. */
function pod(token: string) {
  const serviceAccount = join(folder, 'serviceaccount');
  mkdirSync(serviceAccount, { recursive: true });
  write('serviceaccount/token', `${token}\n`);
  write('serviceaccount/ca.crt', ca.cert);
  write('serviceaccount/namespace', 'metallb-system');
  return { serviceAccount, env: { KUBERNETES_SERVICE_HOST: 'localhost', KUBERNETES_SERVICE_PORT: String(port) } };
}

async function open(options: Parameters<typeof openCluster>[0]): Promise<{ cluster: Cluster; api: Api }> {
  const cluster = await openCluster(options, clock);
  clusters.push(cluster);
  return { cluster, api: new Api(cluster, clock) };
}

const ask = (api: Api) => api.get({ kind: NODES, name: 'n' }, { retries: 0 });
const tokens = () => requests.map(({ headers }) => headers.authorization);

interface Kubeconfig {
  readonly user?: object;
  readonly cluster?: object;
  readonly name?: string;
}

function kubeconfig({ user = { token: 'T' }, cluster = {}, name = 'config' }: Kubeconfig = {}): string {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u', namespace: 'ns' } }],
    clusters: [
      {
        name: 'k',
        cluster: {
          server: `https://127.0.0.1:${port}`,
          'tls-server-name': NAME,
          'certificate-authority-data': Buffer.from(ca.cert).toString('base64'),
          ...cluster,
        },
      },
    ],
    users: [{ name: 'u', user }],
  };
  return write(name, JSON.stringify(config));
}

describe('in a pod', () => {
  it('is the ServiceAccount, in its namespace, on one connection', async () => {
    const { cluster, api } = await open(pod('one'));
    expect(cluster.namespace).toBe('metallb-system');
    await ask(api);
    await ask(api);
    expect(tokens()).toEqual(['Bearer one', 'Bearer one']);
    expect(new Set(requests.map(({ httpVersion }) => httpVersion))).toEqual(new Set(['1.1']));
  });

  it('reads a rotated token after a minute, or at once when the old one is refused', async () => {
    const { api } = await open(pod('one'));
    await ask(api);
    pod('two');
    await ask(api);
    await clock.advance(60_000);
    await ask(api);
    pod('three');
    accepted = ({ headers }) => headers.authorization === 'Bearer three';
    await ask(api);
    expect(tokens()).toEqual(['Bearer one', 'Bearer one', 'Bearer two', 'Bearer two', 'Bearer three']);
  });

  it('asks once more at a 401, and no more', async () => {
    const { api } = await open(pod('one'));
    accepted = () => false;
    await expect(ask(api)).rejects.toMatchObject({ status: 401 });
    expect(requests).toHaveLength(2);
  });

  it('trusts a rotated CA after the first connection that fails', async () => {
    const { api } = await open(pod('one'));
    await ask(api);
    await stop();
    await serve(otherCert, port);
    write('serviceaccount/ca.crt', otherCa.cert);
    await expect(ask(api)).rejects.toMatchObject({ status: 0 });
    await ask(api);
    expect(requests).toHaveLength(2);
  });

  it('does not talk to a server whom the CA does not know', async () => {
    const { api } = await open(pod('one'));
    await stop();
    await serve(otherCert, port);
    await expect(ask(api)).rejects.toThrow(/cannot get nodes "n".*(certificate|verify|signature)/i);
    await expect(ask(api)).rejects.toMatchObject({ status: 0 });
    expect(requests).toEqual([]);
  });

  it('goes on with what it knew while the files are being replaced', async () => {
    const options = pod('one');
    const { api } = await open(options);
    await ask(api);
    rmSync(join(options.serviceAccount, 'token'));
    await clock.advance(60_000);
    await ask(api);
    expect(tokens()).toEqual(['Bearer one', 'Bearer one']);
  });

  it('names the file that is missing, and goes on once it is there', async () => {
    const options = pod('one');
    rmSync(join(options.serviceAccount, 'ca.crt'));
    const { api } = await open(options);
    await expect(ask(api)).rejects.toThrow(/cannot read the ServiceAccount's ca\.crt: ENOENT/);
    pod('one');
    await ask(api);
  });

  it('writes the brackets of an IPv6 address', async () => {
    const { serviceAccount } = pod('one');
    const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    expect((await findAccess({ serviceAccount, env })).server).toBe('https://[fd00::1]:443');
  });
});

describe('a kubeconfig', () => {
  it('is asked before anything else, then KUBECONFIG, then the pod, then the home folder', async () => {
    const inPod = pod('pod');
    const flag = kubeconfig({ user: { token: 'flag' }, name: 'flag' });
    const listed = kubeconfig({ user: { token: 'listed' }, name: 'listed' });
    mkdirSync(join(folder, '.kube'));
    kubeconfig({ user: { token: 'home' }, name: '.kube/config' });
    const env = { ...inPod.env, KUBECONFIG: listed, HOME: folder };
    const options = { ...inPod, env };
    for (const each of [
      { ...options, kubeconfig: flag },
      options,
      { ...options, env: { ...env, KUBECONFIG: '' } },
      { ...options, env: { HOME: folder } },
    ])
      await ask((await open(each)).api);
    expect(tokens()).toEqual(['Bearer flag', 'Bearer listed', 'Bearer pod', 'Bearer home']);
  });

  it('may be YAML, several files, with the namespace of its context', async () => {
    const users = write('users', 'apiVersion: v1\nkind: Config\nusers:\n- name: v\n  user: {token: second}\n');
    const contexts = write(
      'contexts',
      `apiVersion: v1\nkind: Config\ncurrent-context: d\ncontexts:\n- name: d\n  context: {cluster: k, user: v, namespace: yaml}\n`,
    );
    const { cluster, api } = await open({ env: { KUBECONFIG: [contexts, kubeconfig(), users].join(':') } });
    await ask(api);
    expect([cluster.namespace, ...tokens()]).toEqual(['yaml', 'Bearer second']);
  });

  it('with a client certificate authenticates by TLS', async () => {
    const client = await issueServer(ca, ['somebody'], now);
    write('client.crt', client.cert);
    write('client.key', client.key);
    const path = kubeconfig({ user: { 'client-certificate': 'client.crt', 'client-key': 'client.key' } });
    let subject: unknown;
    accepted = (request) => {
      const socket = request.socket as unknown as { getPeerCertificate(): { subject?: { CN?: string } } };
      subject = socket.getPeerCertificate().subject?.CN;
      return true;
    };
    await ask((await open({ kubeconfig: path, env: {} })).api);
    expect([subject, ...tokens()]).toEqual(['somebody', undefined]);
  });

  it('with a name and password says them', async () => {
    const path = kubeconfig({ user: { username: 'u', password: 'p' } });
    await ask((await open({ kubeconfig: path, env: {} })).api);
    expect(tokens()).toEqual([`Basic ${Buffer.from('u:p').toString('base64')}`]);
  });

  it('with a plugin runs it, once, and again when what it said is refused', async () => {
    const plugin = write(
      'plugin',
      `#!/bin/sh
echo run >> '${folder}/runs'
n=$(wc -l < '${folder}/runs')
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from plugin '$n'"}}'
`,
    );
    chmodSync(plugin, 0o755);
    const path = kubeconfig({ user: { exec: { command: plugin, args: [] } } });
    const { api } = await open({ kubeconfig: path, env: {} });
    await ask(api);
    await clock.advance(60_000);
    await ask(api);
    accepted = ({ headers }) => headers.authorization !== 'Bearer from plugin 1';
    await ask(api);
    expect(tokens()).toEqual([1, 1, 1, 2].map((n) => `Bearer from plugin ${n}`));
  });

  it('is read again when its token is refused', async () => {
    const path = kubeconfig();
    const { api } = await open({ kubeconfig: path, env: {} });
    await ask(api);
    kubeconfig({ user: { token: 'U' } });
    accepted = ({ headers }) => headers.authorization === 'Bearer U';
    await ask(api);
    expect(tokens()).toEqual(['Bearer T', 'Bearer T', 'Bearer U']);
  });

  it.each<[string, () => string, RegExp]>([
    ['is not there', () => join(folder, 'none'), /cannot read the kubeconfig .*none: ENOENT/],
    ['is no YAML', () => write('bad', '{'), /cannot read the kubeconfig .*bad: /],
    ['is empty', () => write('empty', '{}'), /it has no current-context/],
    [
      'names no cluster',
      () => write('half', 'current-context: c\ncontexts: [{name: c, context: {cluster: x, user: y}}]'),
      /half.*c names no cluster/,
    ],
  ])('that %s is named', async (_, make, text) => {
    await expect(openCluster({ kubeconfig: make(), env: {} })).rejects.toThrow(text);
  });

  it('without https is refused unless it says so', async () => {
    const path = kubeconfig({ cluster: { server: 'http://127.0.0.1:1' } });
    await expect(ask((await open({ kubeconfig: path, env: {} })).api)).rejects.toThrow(/is not https/);
  });

  it('with a proxy reaches the server through it, whose certificate is checked all the same', async () => {
    const asked: (string | undefined)[] = [];
    const proxy = createProxy();
    proxy.on('connect', ({ url }, socket: Duplex) => {
      asked.push(url);
      const through = connect(port, '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
      through.pipe(socket).pipe(through);
      for (const each of [through, socket]) each.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    try {
      const { port: at } = proxy.address() as AddressInfo;
      const cluster = { 'proxy-url': `http://127.0.0.1:${at}` };
      const { api } = await open({ kubeconfig: kubeconfig({ cluster }), env: {} });
      expect((await ask(api)).metadata.name).toBe('n');
      expect(asked).toEqual([`127.0.0.1:${port}`]);
      const strange = { ...cluster, 'certificate-authority-data': Buffer.from(otherCa.cert).toString('base64') };
      const other = await open({ kubeconfig: kubeconfig({ cluster: strange, name: 'other' }), env: {} });
      await expect(ask(other.api)).rejects.toThrow(/certificate/);
      expect(requests).toHaveLength(1);
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });

  it('with a proxy of a kind that we cannot use says so', async () => {
    const path = kubeconfig({ cluster: { 'proxy-url': 'socks5://127.0.0.1:1' } });
    await expect(ask((await open({ kubeconfig: path, env: {} })).api)).rejects.toThrow(/socks5:.*only http and https/);
  });

  it('is missed with a word on all places that were looked at', async () => {
    await expect(openCluster({ env: { HOME: folder } })).rejects.toThrow(
      /^no cluster to talk to: not in a pod, no --kubeconfig, no KUBECONFIG, and cannot read the kubeconfig/,
    );
  });
});
