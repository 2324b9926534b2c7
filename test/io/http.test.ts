// The HTTP door over a real socket on loopback.

import { connect } from 'node:net';
import { text as bodyOf } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { type HttpDoor, json, serveHttp, text } from '../../src/io/http.ts';
import { Metrics } from '../../src/io/metrics.ts';

const open: HttpDoor[] = [];
afterEach(() => {
  for (const door of open.splice(0)) door.close();
});

async function door(): Promise<HttpDoor> {
  const made = await serveHttp('127.0.0.1', 0, {
    '/healthz': () => text(200, 'ok'),
    '/api/v1/state': () => json({ a: 1 }),
  });
  open.push(made);
  return made;
}

describe('http', () => {
  it('answers its paths, says what there is for others, refuses other methods', async () => {
    const { port } = await door();
    const base = `http://127.0.0.1:${port}`;
    const state = await fetch(`${base}/api/v1/state?x=1`);
    expect([state.status, state.headers.get('content-type'), await state.json()]).toEqual([
      200,
      'application/json',
      { a: 1 },
    ]);
    const missing = await fetch(`${base}/nothing`);
    expect([missing.status, await missing.text()]).toEqual([404, 'no such path; there are /healthz, /api/v1/state\n']);
    expect((await fetch(`${base}/constructor`)).status).toBe(404);
    const posted = await fetch(`${base}/healthz`, { method: 'POST', body: 'x' });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    const head = await fetch(`${base}/healthz`, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '2', '']);
  });

  it('answers garbage and headers without end with an error, and serves on', async () => {
    const { port } = await door();
    for (const octets of ['\x16\x03\x01garbage\r\n\r\n', `GET / HTTP/1.1\r\nx: ${'a'.repeat(20_000)}`]) {
      const socket = connect(port, '127.0.0.1');
      socket.write(octets);
      expect(await bodyOf(socket)).toMatch(/^HTTP\/1.1 4\d\d/);
    }
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  });

  it('names the address when it cannot be had', async () => {
    const { port } = await door();
    await expect(serveHttp('127.0.0.1', port, {})).rejects.toThrow(
      `cannot serve HTTP on 127.0.0.1:${port}: address already in use`,
    );
    await expect(serveHttp('192.0.2.77', 0, {})).rejects.toThrow('no interface of this node has this address');
  });
});

describe('metrics', () => {
  it('are read at the scrape: a series lives as long as what it speaks of', async () => {
    const metrics = new Metrics();
    let world: Readonly<Record<string, number>> = { a: 1, b: 2 };
    metrics.add<typeof world>(
      [
        {
          name: 'demo_up',
          type: 'gauge',
          help: 'x',
          labels: ['peer'],
          read: (w) => Object.entries(w).map(([peer, value]) => ({ labels: { peer }, value })),
        },
        {
          name: 'demo_total',
          type: 'counter',
          help: 'x',
          labels: [],
          read: (w) => [{ labels: {}, value: w['a'] ?? 0 }],
        },
      ],
      () => world,
    );
    expect(await metrics.text()).toContain('demo_up{peer="a"} 1\ndemo_up{peer="b"} 2\n');
    world = { a: 7 };
    const later = await metrics.text();
    expect(later).toContain('demo_up{peer="a"} 7\n');
    expect(later).not.toContain('peer="b"');
    expect(later).toContain('# TYPE demo_total counter\ndemo_total 7\n');
    expect(later).toContain('process_resident_memory_bytes');
  });
});
