// HTTPS as others meet it: over real TLS on loopback, with certificates that change, bodies that are too long, flags.

import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { request } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { text } from '../../src/io/http.ts';
import { type HttpsDoor, type HttpsOptions, serveHttps } from '../../src/io/https.ts';
import { followIdentity, readIdentity } from '../../src/io/identity-file.ts';
import { readTlsFlags } from '../../src/io/tls-options.ts';
import { issueServer } from '../../src/k8s/x509.ts';
import { until } from './sockets.ts';

const [first, second] = await Promise.all([1, 2].map(() => issueServer(undefined, ['localhost'], new Date())));
const TLS = readTlsFlags({ minVersion: '', cipherSuites: '', curves: '' });

const doors: HttpsDoor[] = [];
afterEach(() => {
  for (const door of doors.splice(0)) door.close();
});

async function open(more: Partial<HttpsOptions> = {}): Promise<HttpsDoor> {
  if (first === undefined) throw new Error('no certificate');
  const door = await serveHttps({
    ...{ host: '127.0.0.1', port: 0, tls: TLS, identity: first },
    handle: async ({ method, path, authorization, body }) => text(200, `${method} ${path} ${authorization} ${body}`),
    unanswered: () => undefined,
    ...more,
  });
  doors.push(door);
  return door;
}

interface Got {
  readonly status: number | undefined;
  readonly body: string;
  readonly connection: string | undefined;
}

function ask(port: number, ca: string, path: string, body?: string): Promise<Got> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: 'Bearer x' };
    const options = { host: '127.0.0.1', port, servername: 'localhost', ca, path, headers, agent: false } as const;
    const asked = request({ ...options, method: body === undefined ? 'GET' : 'POST' }, (response) => {
      let got = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        got += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode, body: got, connection: response.headers.connection }),
      );
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

/** What a handshake comes to: the protocol and cipher, or the error. */
function shake(port: number, options: object): Promise<string> {
  return new Promise((resolve) => {
    const socket: TLSSocket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
    socket.once('secureConnect', () => {
      resolve(`${socket.getProtocol()} ${socket.getCipher().name}`);
      socket.destroy();
    });
    socket.once('error', (fault: NodeJS.ErrnoException) => resolve(fault.code ?? fault.message));
  });
}

describe('HTTPS', () => {
  it('hands over method, path, authorization and body, and keeps no connection', async () => {
    const { port } = await open();
    expect(await ask(port, first?.cert ?? '', '/a?b=c', 'hello')).toEqual({
      status: 200,
      body: 'POST /a Bearer x hello',
      connection: 'close',
    });
    expect((await ask(port, first?.cert ?? '', '/')).body).toBe('GET / Bearer x ');
  });

  it('refuses a body that is too long', async () => {
    const { port } = await open({ longestBody: 10 });
    expect((await ask(port, first?.cert ?? '', '/', '0123456789')).status).toBe(200);
    expect((await ask(port, first?.cert ?? '', '/', '0123456789a')).status).toBe(413);
    expect((await ask(port, first?.cert ?? '', '/', 'x'.repeat(5_000_000))).status).toBe(413);
  });

  it('changes its certificate under way', async () => {
    if (second === undefined) throw new Error('no certificate');
    const door = await open();
    door.identify(second);
    expect((await ask(door.port, second.cert, '/')).status).toBe(200);
    await expect(ask(door.port, first?.cert ?? '', '/')).rejects.toThrow('self-signed certificate');
  });

  it('survives who speaks no TLS, and older versions of it', async () => {
    const { port } = await open();
    expect(await shake(port, { maxVersion: 'TLSv1.2' })).toMatch(/^(ERR_SSL|ECONNRESET)/);
    expect(await shake(port, {})).toMatch(/^TLSv1.3 /);
    expect((await ask(port, first?.cert ?? '', '/')).status).toBe(200);
  });

  it('speaks HTTP/2 where it is told to, and HTTP/1.1 beside it', async () => {
    const { port } = await open({ http2: true });
    const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: first?.cert ?? '', servername: 'localhost' });
    const stream = session.request({ ':path': '/two', ':method': 'POST' });
    let got = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      got += chunk;
    });
    stream.end('body');
    await new Promise((resolve) => stream.on('end', resolve));
    expect(got).toBe('POST /two  body');
    session.destroy();
    expect((await ask(port, first?.cert ?? '', '/one')).body).toBe('GET /one Bearer x ');
  });

  it('answers what was asked before it is shut, and nobody after that', async () => {
    let answer = (): void => undefined;
    const asked = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let began = false;
    const handle = async () => {
      began = true;
      await asked;
      return text(200, 'late');
    };
    const door = await open({ handle });
    const late = ask(door.port, first?.cert ?? '', '/');
    await until('it is asked', () => (began ? true : undefined));
    const drained = door.drain();
    await expect(ask(door.port, first?.cert ?? '', '/')).rejects.toThrow('ECONNREFUSED');
    answer();
    expect((await late).body).toBe('late');
    await drained;
  });

  it.each([
    [
      'throws at once',
      () => {
        throw new RangeError('too deep');
      },
    ],
    [
      'throws later',
      async () => {
        throw new RangeError('too deep');
      },
    ],
    ['throws what is no error', () => Promise.reject('too deep')],
  ] as const)('answers 500 and lives on where the handler %s', async (_, fail) => {
    const faults: unknown[] = [];
    const handle = (request: { path: string }) =>
      request.path === '/bad' ? fail() : Promise.resolve(text(200, 'well'));
    const { port } = await open({ handle, unanswered: (fault, path) => faults.push([String(fault), path]) });
    expect((await ask(port, first?.cert ?? '', '/bad')).status).toBe(500);
    expect(faults).toEqual([[expect.stringContaining('too deep'), '/bad']]);
    expect((await ask(port, first?.cert ?? '', '/')).body).toBe('well');
  });

  describe('to whom more connections come than it takes', () => {
    const sockets: Socket[] = [];
    afterEach(() => {
      for (const socket of sockets.splice(0)) socket.destroy();
    });

    /** From an address of their own, doing nothing. */
    async function crowd(port: number, count: number, localAddress: string, tls = false): Promise<readonly Socket[]> {
      const where = { host: '127.0.0.1', port, localAddress };
      const some = Array.from({ length: count }, () => {
        const socket = tls ? connect({ ...where, rejectUnauthorized: false }) : connectTcp(where);
        return socket.on('error', () => undefined);
      });
      sockets.push(...some);
      const event = tls ? 'secureConnect' : 'connect';
      await Promise.all(some.map((socket) => new Promise((resolve) => socket.once(event, resolve))));
      return some;
    }
    const isClosed = (socket: Socket | undefined) => socket?.destroyed === true || socket?.readyState === 'closed';

    it.each([
      ['say nothing', false],
      ['say no more than TLS', true],
    ])('answers others while 300 %s', async (_, tls) => {
      const { port } = await open();
      await crowd(port, 300, '127.0.0.2', tls);
      expect((await ask(port, first?.cert ?? '', '/')).status).toBe(200);
    });

    it('answers one who has as many himself', async () => {
      const { port } = await open();
      await crowd(port, 300, '127.0.0.1');
      expect((await ask(port, first?.cert ?? '', '/')).status).toBe(200);
    });

    it('lets the oldest without TLS of the most go, nobody’s few, and none that is being answered', async () => {
      let answer = (): void => undefined;
      const asked = new Promise<void>((resolve) => {
        answer = resolve;
      });
      let began = 0;
      const handle = async () => {
        began++;
        await asked;
        return text(200, 'late');
      };
      const { port } = await open({ handle });
      const late = ask(port, first?.cert ?? '', '/');
      await until('it is asked', () => began === 1 || undefined);
      const [few] = await crowd(port, 1, '127.0.0.3');
      const [shaken] = await crowd(port, 1, '127.0.0.2', true);
      const many = await crowd(port, 253, '127.0.0.2');
      await crowd(port, 2, '127.0.0.2');
      await until('the two oldest are closed', () => (isClosed(many[0]) && isClosed(many[1])) || undefined);
      expect([few, shaken, many[2]].map(isClosed)).toEqual([false, false, false]);
      answer();
      expect((await late).body).toBe('late');
    });

    it('gives who does not shake hands three seconds', async () => {
      const { port } = await open();
      const began = performance.now();
      const [socket] = await crowd(port, 1, '127.0.0.2');
      await until('it is closed', () => isClosed(socket) || undefined);
      expect(performance.now() - began).toBeLessThan(5_000);
    });
  });

  it('says which port cannot be had', async () => {
    const { port } = await open();
    await expect(open({ port })).rejects.toThrow(`cannot serve HTTPS on 127.0.0.1:${port}: address already in use`);
  });
});

describe('TLS flags', () => {
  const read = (minVersion = '', cipherSuites = '', curves = '') => readTlsFlags({ minVersion, cipherSuites, curves });

  it('become what a server is made with', async () => {
    expect(read()).toEqual({ minVersion: 'TLSv1.3' });
    const tls = read('VersionTLS12', 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', '23,29');
    expect(tls).toEqual({
      minVersion: 'TLSv1.2',
      ciphers: 'ECDHE-RSA-AES256-GCM-SHA384',
      ecdhCurve: 'P-256:X25519',
    });
    const { port } = await open({ tls });
    expect(await shake(port, { maxVersion: 'TLSv1.2' })).toBe('TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384');
    expect(await shake(port, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' })).toMatch(/^ERR_SSL/);
    expect(await shake(port, { ecdhCurve: 'P-384' })).toMatch(/^ERR_SSL/);
    expect(await shake(port, { ecdhCurve: 'P-256' })).toMatch(/^TLSv1.3/);
  });

  it('that are wrong name what they may be', () => {
    expect(() => read('VersionTLS11')).toThrow(
      '--tls-min-version "VersionTLS11": must be VersionTLS12 or VersionTLS13',
    );
    expect(() => read('constructor')).toThrow('--tls-min-version');
    expect(() => read('', 'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384')).toThrow('set --tls-min-version=VersionTLS12');
    expect(() => read('VersionTLS12', 'AES')).toThrow('no suite "AES"');
    for (const curves of ['x', '0', '65536', '30', '29,', '29 29'])
      expect(() => read('', '', curves)).toThrow('no curve');
    expect(() => read('', '', '29,29')).toThrow('X25519 is there twice');
  });
});

describe('a certificate in a folder', () => {
  it('is followed as a mounted Secret changes: by a link that is renamed', async () => {
    if (first === undefined || second === undefined) throw new Error('no certificate');
    const folder = mkdtempSync(join(tmpdir(), 'fairway-identity-'));
    const put = (name: string, { cert, key }: { cert: string; key: string }) => {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, 'tls.crt'), cert);
      writeFileSync(join(folder, name, 'tls.key'), key);
      symlinkSync(name, join(folder, '..next'));
      renameSync(join(folder, '..next'), join(folder, '..data'));
    };
    const seen: string[] = [];
    const failures: string[] = [];
    const end = followIdentity(
      join(folder, '..data'),
      ({ cert }) => seen.push(cert),
      (failure) => failures.push(failure),
    );
    try {
      await until('it is missed', () => failures[0]);
      expect(failures[0]).toContain('no certificate in');
      put('one', first);
      await until('the first', () => seen[0]);
      put('two', second);
      await until('the second', () => seen[1]);
      expect(seen).toEqual([first.cert, second.cert]);
      put('three', { cert: first.cert, key: second.key });
      await expect(readIdentity(join(folder, '..data'))).rejects.toThrow('tls.key is not the key of tls.crt');
    } finally {
      end();
      rmSync(folder, { recursive: true });
    }
  }, 20_000);
});
