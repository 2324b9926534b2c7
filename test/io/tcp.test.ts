// Real sockets on loopback: what a machine is told of a connection, and that the kernel was told what it must know.
// The other end is node:net wherever possible; drops are read from the kernel's own counters.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, connect as dial, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Tcp } from '../../src/io/tcp.ts';
import type { Ip } from '../../src/net/address.ts';
import type { AcceptRule, SocketAddress, TcpOptions } from '../../src/net/io.ts';
import { Secret } from '../../src/net/secret.ts';
import { at, freePort, kernelCounter, options, Recorder, until } from './sockets.ts';

const root = process.getuid?.() === 0;
const ip = (text: string) => text as Ip;

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanUp.splice(0)) undo();
});

function recorder(): Recorder {
  const made = new Recorder();
  cleanUp.push(() => made.tcp.end());
  return made;
}

function connectFrom(us: Recorder, to: SocketAddress, more: Partial<TcpOptions> = {}, connection = 'p#1'): void {
  us.tcp.carry({ do: 'tcp-connect', connection, to, options: options(more) });
}

async function server(onSocket: (socket: Socket) => void): Promise<SocketAddress> {
  const listening = createServer({ allowHalfOpen: true }, (socket) => {
    cleanUp.push(() => socket.destroy());
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  const port = await freePort();
  await new Promise<void>((resolve) => listening.listen(port, '127.0.0.1', resolve));
  cleanUp.push(() => listening.close());
  return at('127.0.0.1', port);
}

const accept = (from: string, more: Partial<TcpOptions> = {}): AcceptRule => ({
  from: ip(from),
  options: options(more),
});

/** Listens on a free port with these rules and waits until the kernel does. */
async function listen(us: Recorder, rules: readonly AcceptRule[], address = '127.0.0.1'): Promise<SocketAddress> {
  const here = at(address, await freePort(address));
  us.tcp.carry({ do: 'tcp-listen', on: [here], accept: rules });
  expect((await us.wait('tcp-listening')).error).toBeUndefined();
  return here;
}

/** A client that is not ours. */
function client(to: SocketAddress, localAddress: string): Socket {
  const socket = dial({ host: to.address, port: to.port, localAddress });
  socket.on('error', () => undefined);
  cleanUp.push(() => socket.destroy());
  return socket;
}

describe('connecting', () => {
  it('tells both ends and the link, carries octets both ways and counts what the kernel took', async () => {
    const us = recorder();
    const to = await server((socket) => socket.on('data', (bytes) => socket.write(bytes)));
    connectFrom(us, to, { source: ip('127.0.0.2') });
    const opened = await us.wait('tcp-opened', 'p#1');
    expect(opened.local.address).toBe('127.0.0.2');
    expect(opened.remote).toEqual(to);
    expect(opened.link?.ipv6).toHaveLength(1);
    for (const octet of [1, 2, 3])
      us.tcp.carry({ do: 'tcp-send', connection: 'p#1', bytes: Uint8Array.of(octet, octet) });
    await until('the echo', () => (us.received('p#1').length === 6 ? true : undefined));
    expect([...us.received('p#1')]).toEqual([1, 1, 2, 2, 3, 3]);
    const drained = us.events.filter((event) => event.on === 'tcp-drained');
    expect(drained.reduce((sum, event) => sum + event.bytes, 0)).toBe(6);
    expect(drained.at(-1)?.left).toBe(0);
  });

  it('says what the peer said before it says anything later, even when it spoke at once', async () => {
    const us = recorder();
    const to = await server((socket) => socket.end('hello'));
    connectFrom(us, to);
    expect((await us.wait('tcp-closed', 'p#1')).why).toEqual({ because: 'fin' });
    expect(us.events.map((event) => event.on)).toEqual(['tcp-opened', 'tcp-data', 'tcp-closed']);
  });

  it('works over IPv6', async () => {
    const us = recorder();
    const them = recorder();
    const to = await listen(them, [accept('::1', { minTtl: 255 })], '::1');
    connectFrom(us, to, { source: ip('::1'), minTtl: 255 });
    expect((await us.wait('tcp-opened')).local.address).toBe('::1');
    expect((await them.wait('tcp-accepted')).remote.address).toBe('::1');
  });

  it.each([
    ['refused', async () => at('127.0.0.1', await freePort()), {}, 'connect', 'ECONNREFUSED'],
    ['a source that no interface has', undefined, { source: ip('192.0.2.77') }, 'bind', 'EADDRNOTAVAIL'],
    ['a device that is not there', undefined, { device: 'nosuch0' }, 'SO_BINDTODEVICE', 'ENODEV'],
    ['a password that is too long', undefined, { md5: new Secret('x'.repeat(81)) }, 'TCP_MD5SIG', 'EINVAL'],
    ['a minimum TTL that cannot be', undefined, { minTtl: 300 }, 'MINTTL', 'EINVAL'],
  ] as const)('ends with the call and the reason: %s', async (_, where, more, call, code) => {
    const us = recorder();
    connectFrom(us, (await where?.()) ?? at('127.0.0.1', 9), more);
    const { why } = await us.wait('tcp-closed', 'p#1');
    expect(why).toMatchObject({ because: 'failed', error: { call, code } });
    expect(us.events).toHaveLength(1);
  });

  it('forgets a connection that is closed before it opened', async () => {
    const us = recorder();
    const to = await server(() => undefined);
    connectFrom(us, to);
    us.tcp.carry({ do: 'tcp-close', connection: 'p#1', how: 'fin' });
    await us.wait('tcp-closed', 'p#1');
    expect(us.events.map((event) => event.on)).toEqual(['tcp-closed']);
  });
});

describe('accepting', () => {
  it('resets whom no rule names and keeps those that one names', async () => {
    const us = recorder();
    const here = await listen(us, [accept('127.0.0.2')]);
    const [reset] = await once(client(here, '127.0.0.3'), 'error');
    expect(reset).toMatchObject({ code: 'ECONNRESET' });
    expect(us.refused.map(({ address }) => address)).toEqual(['127.0.0.3']);
    const peer = client(here, '127.0.0.2');
    const accepted = await us.wait('tcp-accepted');
    expect(accepted.remote.address).toBe('127.0.0.2');
    expect(accepted.connection).toMatch(/^127\.0\.0\.1:\d+#\d+$/);
    peer.write('x');
    await until('an octet', () => (us.received(accepted.connection).length === 1 ? true : undefined));
  });

  it('tells which device the rule has that a connection was accepted by', async () => {
    const us = recorder();
    const here = await listen(us, [accept('127.0.0.2', { device: 'lo' })]);
    client(here, '127.0.0.2');
    expect(await us.wait('tcp-accepted')).toMatchObject({ device: 'lo' });
  });

  it('follows its rules while it runs', async () => {
    const us = recorder();
    const here = await listen(us, [accept('127.0.0.2')]);
    us.tcp.carry({ do: 'tcp-listen', on: [here], accept: [accept('127.0.0.3')] });
    const [reset] = await once(client(here, '127.0.0.2'), 'error');
    expect(reset).toMatchObject({ code: 'ECONNRESET' });
    client(here, '127.0.0.3');
    expect((await us.wait('tcp-accepted')).remote.address).toBe('127.0.0.3');
    us.tcp.carry({ do: 'tcp-listen', on: [], accept: [] });
    const late = client(here, '127.0.0.3');
    const [fault] = await once(late, 'error');
    expect(fault).toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('names a port in use, and takes it once it is free', async () => {
    const us = recorder();
    const here = at('127.0.0.1', await freePort());
    const holder = createServer();
    cleanUp.push(() => holder.close());
    await new Promise<void>((resolve) => holder.listen(here.port, here.address, resolve));
    us.tcp.carry({ do: 'tcp-listen', on: [here], accept: [accept('127.0.0.2')] });
    const { error } = await us.wait('tcp-listening');
    expect(error).toMatchObject({ code: 'EADDRINUSE' });
    expect(error?.text).toContain(`127.0.0.1:${here.port}: address already in use`);
    holder.close();
    await until('the retry', () => us.events.find((event) => event.on === 'tcp-listening' && !event.error));
  });

  it.skipIf(!root)('says which capability a privileged port needs', async () => {
    const script = `
      const { Tcp } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/io/tcp.ts'))});
      process.setgid(65534); process.setuid(65534);
      const tcp = new Tcp({ emit: (event) => { console.log(JSON.stringify(event)); tcp.end(); process.exit(0); }, refused() {} });
      tcp.carry({ do: 'tcp-listen', on: [{ address: '127.0.0.1', port: 179 }], accept: [] });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    cleanUp.push(() => child.kill());
    const [line] = await once(child.stdout, 'data');
    expect(JSON.parse(String(line))).toMatchObject({ on: 'tcp-listening', error: { code: 'EACCES', call: 'bind' } });
    expect(String(line)).toContain('CAP_NET_BIND_SERVICE');
  });
});

describe('MD5 (RFC 2385)', () => {
  it('opens with the same key on both ends', async () => {
    const [us, them] = [recorder(), recorder()];
    const here = await listen(them, [accept('127.0.0.2', { md5: new Secret('right') })]);
    connectFrom(us, here, { source: ip('127.0.0.2'), md5: new Secret('right') });
    await us.wait('tcp-opened');
    expect((await them.wait('tcp-accepted')).remote.address).toBe('127.0.0.2');
  });

  it.each([
    ['another key', new Secret('wrong'), 'TCPMD5Failure'],
    ['no key', undefined, 'TCPMD5NotFound'],
  ] as const)('is dropped by the kernel with %s', async (_, md5, counter) => {
    const [us, them] = [recorder(), recorder()];
    const here = await listen(them, [accept('127.0.0.2', { md5: new Secret('right') })]);
    const before = kernelCounter(counter);
    connectFrom(us, here, { source: ip('127.0.0.2'), ...(md5 && { md5 }) });
    await until(`${counter} to rise`, () => (kernelCounter(counter) > before ? true : undefined));
    expect(us.events).toEqual([]);
    expect(them.find('tcp-accepted')).toBeUndefined();
  });

  it('changes and removes keys on a listener that runs', async () => {
    const [us, them] = [recorder(), recorder()];
    const here = await listen(them, [accept('127.0.0.2', { md5: new Secret('old') })]);
    them.tcp.carry({ do: 'tcp-listen', on: [here], accept: [accept('127.0.0.2', { md5: new Secret('new') })] });
    connectFrom(us, here, { source: ip('127.0.0.2'), md5: new Secret('new') }, 'p#1');
    await us.wait('tcp-opened', 'p#1');
    them.tcp.carry({ do: 'tcp-listen', on: [here], accept: [accept('127.0.0.2')] });
    connectFrom(us, here, { source: ip('127.0.0.2') }, 'p#2');
    await us.wait('tcp-opened', 'p#2');
  });

  it('works over IPv6', async () => {
    const [us, them] = [recorder(), recorder()];
    const here = await listen(them, [accept('::1', { md5: new Secret('right') })], '::1');
    connectFrom(us, here, { md5: new Secret('right') });
    await us.wait('tcp-opened');
  });
});

describe('TTL (RFC 5082)', () => {
  it('sends 255, and drops what arrives with less where all who may connect agree', async () => {
    const [us, them] = [recorder(), recorder()];
    const here = await listen(them, [accept('127.0.0.2', { minTtl: 255 })]);
    const before = kernelCounter('TCPMinTTLDrop');
    client(here, '127.0.0.2'); // an ordinary TTL of 64
    await until('TCPMinTTLDrop to rise', () => (kernelCounter('TCPMinTTLDrop') > before ? true : undefined));
    expect(them.find('tcp-accepted')).toBeUndefined();
    connectFrom(us, here, { source: ip('127.0.0.2'), minTtl: 255 });
    await us.wait('tcp-opened');
    await them.wait('tcp-accepted');
  });

  it('is asked of one peer alone where they differ', async () => {
    const them = recorder();
    const here = await listen(them, [accept('127.0.0.2', { minTtl: 255 }), accept('127.0.0.3')]);
    const near = client(here, '127.0.0.2');
    const far = client(here, '127.0.0.3');
    await until('both', () =>
      them.events.filter((event) => event.on === 'tcp-accepted').length === 2 ? true : undefined,
    );
    const before = kernelCounter('TCPMinTTLDrop');
    near.write('dropped');
    far.write('heard');
    await until('TCPMinTTLDrop to rise', () => (kernelCounter('TCPMinTTLDrop') > before ? true : undefined));
    const heard = await them.wait('tcp-data');
    expect(String(heard.bytes)).toBe('heard');
    expect(them.events.filter((event) => event.on === 'tcp-data')).toHaveLength(1);
  });
});

describe('closing', () => {
  it('fin: what was sent last arrives although the peer floods us', async () => {
    const us = recorder();
    let told = Buffer.alloc(0);
    let faults = 0;
    let ended = false;
    const to = await server((socket) => {
      const flood = () => {
        while (!ended && socket.write(Buffer.alloc(65_536)));
      };
      socket.on('drain', flood).on('error', () => faults++);
      socket.on('data', (bytes: Buffer) => {
        told = Buffer.concat([told, bytes]);
      });
      socket.on('end', () => {
        ended = true;
        socket.end();
      });
      flood();
    });
    connectFrom(us, to);
    await us.wait('tcp-data');
    us.tcp.carry({ do: 'tcp-send', connection: 'p#1', bytes: Buffer.alloc(21, 0xff) });
    us.tcp.carry({ do: 'tcp-close', connection: 'p#1', how: 'fin' });
    const count = us.events.length;
    expect((await us.wait('tcp-closed')).why).toEqual({ because: 'fin' });
    expect(us.events).toHaveLength(count + 1);
    expect([told.length, ended, faults]).toEqual([21, true, 0]);
  });

  it('fin: does not wait for a peer that never answers', async () => {
    const us = recorder();
    let theirs: Socket | undefined;
    const to = await server((socket) => {
      theirs = socket.resume();
    });
    connectFrom(us, to);
    await us.wait('tcp-opened');
    await until('the accept', () => theirs);
    const start = performance.now();
    us.tcp.carry({ do: 'tcp-close', connection: 'p#1', how: 'fin' });
    await us.wait('tcp-closed');
    expect(performance.now() - start).toBeGreaterThan(1_900);
  });

  it('rst: at once, also with octets waiting for a peer that stopped reading', async () => {
    const us = recorder();
    let theirs: Socket | undefined;
    const to = await server((socket) => {
      theirs = socket.pause();
    });
    connectFrom(us, to);
    await us.wait('tcp-opened');
    const peer = await until('the accept', () => theirs);
    const reset = once(peer.removeAllListeners('error'), 'error');
    us.tcp.carry({ do: 'tcp-send', connection: 'p#1', bytes: Buffer.alloc(16 << 20) });
    us.tcp.carry({ do: 'tcp-send', connection: 'p#1', bytes: Buffer.alloc(1) });
    us.tcp.carry({ do: 'tcp-close', connection: 'p#1', how: 'rst' });
    await us.wait('tcp-closed');
    peer.resume();
    expect((await reset)[0]).toMatchObject({ code: 'ECONNRESET' });
  });

  it('tells a reset by the peer from an orderly end', async () => {
    const us = recorder();
    const to = await server((socket) => socket.resetAndDestroy());
    connectFrom(us, to);
    expect((await us.wait('tcp-closed')).why).toMatchObject({ because: 'failed', error: { code: 'ECONNRESET' } });
  });
});

describe('fairness', () => {
  it('gives other work its turn while a peer floods us', async () => {
    const to = await server((socket) => {
      const flood = () => {
        while (socket.write(Buffer.alloc(1 << 20)));
      };
      socket.on('drain', flood);
      flood();
    });
    const turns = [0];
    let total = 0;
    let done = false;
    const tcp = new Tcp({
      refused: () => undefined,
      emit: (event) => {
        if (event.on !== 'tcp-data') return;
        total += event.bytes.length;
        turns[turns.length - 1] = (turns.at(-1) ?? 0) + event.bytes.length;
      },
    });
    cleanUp.push(() => tcp.end());
    const turn = () => {
      turns.push(0);
      if (!done) setImmediate(turn);
    };
    turn();
    cleanUp.push(() => {
      done = true;
    });
    tcp.carry({ do: 'tcp-connect', connection: 'p#1', to, options: options() });
    await until('32 MiB', () => (total >= 32 << 20 ? true : undefined));
    expect(Math.max(...turns)).toBeLessThanOrEqual((256 + 64) * 1024);
  });
});
