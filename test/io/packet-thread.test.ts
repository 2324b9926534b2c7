// The packet thread as a thread: it answers while main is busy or stopped, takes messages at once, ends in time with all its
// descriptors, and takes the process with it when it dies or hangs. And what does not work without CAP_NET_RAW.

import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { threadEntry } from '../../src/io/packet-thread.ts';
import { lacking } from '../interop/lacking.ts';
import { address, B, PacketLab, Probe, udp } from './packet-lab.ts';
import { until } from './sockets.ts';

const cannot = lacking();
const here = JSON.stringify(import.meta.dirname);
const bytes = Uint8Array.of(1);

describe.skipIf(cannot.length > 0)(`the packet thread ${cannot.join(', ')}`, () => {
  let lab: PacketLab;
  beforeEach(() => {
    lab = new PacketLab();
    lab.up();
  });
  afterEach(() => lab.down());

  it('answers while main does not run, and main sees it later', async () => {
    const [a, b] = [lab.probe(lab.a), lab.probe(lab.b)];
    await b.open({ do: 'udp-open', socket: 'in', options: udp() });
    b.thread.want({ bounce: true });
    await a.open({ do: 'udp-open', socket: 'out', options: udp() });
    const effect = { do: 'udp-send', socket: 'out', to: address(B.ipv4, 4000), bytes } as const;
    a.thread.want({ repeat: { everyMs: 10, effect }, quiet: ['datagram'] });
    await until('answers', () => (b.all('datagram').length > 3 ? true : undefined));
    for (const end = performance.now() + 400; performance.now() < end; );
    const { counts, longestGapMs } = await a.thread.view();
    // 40 questions in the time that main was away; a machine that has other things to do may lose some of them
    expect(counts['datagram']).toBeGreaterThan(30);
    expect(longestGapMs).toBeLessThan(120);
    await until('what happened meanwhile', () => (b.all('datagram').length > 30 ? true : undefined));
  });

  it('takes what main says at once, and asks nobody to wait for the end of a turn', async () => {
    const a = lab.probe(lab.a);
    await a.link('eth0');
    const took: number[] = [];
    for (let i = 0; i < 40; i++) {
      // it sleeps in its longest wait
      await sleep(5);
      const began = performance.now();
      await a.thread.view();
      took.push(performance.now() - began);
    }
    took.sort((x, y) => x - y);
    // without the wake it would be all that is left of 100 ms
    expect(took[20]).toBeLessThan(50);
  });

  it('tells instants on the clock of main', async () => {
    const a = lab.probe(lab.a);
    const before = performance.now();
    await a.open({ do: 'udp-open', socket: 'one', options: udp() });
    const [first] = a.reports;
    expect(first).toMatchObject({ report: 'event', event: { on: 'links' } });
    if (first?.report === 'event') {
      expect(first.at).toBeGreaterThan(before - 1_000);
      expect(first.at).toBeLessThan(performance.now());
    }
    a.do({ do: 'udp-open', socket: 'two', options: udp({ port: 4001 }) });
    const asked = performance.now();
    const second = await until('two', () =>
      a.reports.find((each) => each.report === 'event' && each.event.on === 'socket' && each.event.socket === 'two'),
    );
    if (second.report === 'event') expect(Math.abs(second.at - asked)).toBeLessThan(1_000);
  });

  it('has its entry beside the source, and as a piece of the bundle', () => {
    expect(existsSync(threadEntry('packets'))).toBe(true);
    const build = readFileSync(join(import.meta.dirname, '../../scripts/build.ts'), 'utf8');
    expect(build).toContain("packets: 'src/packets.ts'");
  });

  it('passes the wish to leave on', async () => {
    const a = lab.probe(lab.a);
    a.thread.leave();
    await until('left', () => a.reports.find(({ report }) => report === 'left'));
  });

  it('ends in time and leaves no descriptor open', async () => {
    const open = () => readdirSync('/proc/self/fd').length;
    const warm = new Probe(lab.a);
    await warm.link('eth0');
    await warm.thread.end();
    const before = open();
    const a = new Probe(lab.a);
    await a.open({ do: 'frames-open', link: 'eth0' }, { do: 'udp-open', socket: 'in', options: udp() });
    a.do({ do: 'udp-open', socket: 'bad', options: udp({ port: 4000 }) });
    await a.wait('socket', ({ socket }) => socket === 'bad');
    expect(open()).toBeGreaterThan(before + 4);
    const began = performance.now();
    await a.thread.end();
    expect(performance.now() - began).toBeLessThan(5_000);
    expect(open()).toBeLessThanOrEqual(before);
    await expect(a.thread.view()).rejects.toThrow('has ended');
    a.thread.want({});
    await a.thread.end();
  });

  it('that dies ends the process with 70, a fatal line and the last events', async () => {
    const [code, line] = await script(lab.a, 'thread.want({ fault: "oops in the thread" });');
    expect(code).toBe(70);
    expect(line).toMatchObject({
      level: 'fatal',
      op: 'crash',
      recent: expect.arrayContaining([expect.stringMatching(/wanted$/)]),
    });
    expect(line['error']).toMatch(/packet thread ended.*oops in the thread/s);
  });

  it('that is stuck in the kernel ends the process too, and does not keep it', async () => {
    const began = performance.now();
    const [code, line] = await script(lab.a, 'thread.want({ stuckS: 90 });');
    expect([code, line['level'], line['op']]).toEqual([70, 'fatal', 'crash']);
    expect(line['error']).toMatch(/packet thread hangs: it has said nothing for 10 s/);
    expect(performance.now() - began).toBeLessThan(60_000);
  }, 90_000);

  it('does not keep a process that wants to end, nor one that was told to', async () => {
    const began = performance.now();
    const [code] = await script(lab.a, 'setTimeout(() => process.exit(3), 50);');
    expect(code).toBe(3);
    const [ended] = await script(lab.a, 'await thread.end(); clearInterval(alive);');
    expect(ended).toBe(0);
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  it('without CAP_NET_RAW says so of frames, and datagrams go on', async () => {
    const [code, line, printed] = await script(
      lab.a,
      `thread.want({ effects: [
        { do: 'frames-open', link: 'eth0' },
        { do: 'udp-open', socket: 'in', options: { family: 'ipv4', port: 4000, ttl: 255, device: 'eth0' } } ] });
      const sockets = () => heard.filter(({ event }) => event?.on === 'socket');
      setInterval(() => { if (sockets().length === 2) { console.log(JSON.stringify(sockets())); process.exit(0); } }, 5);`,
      ['setpriv', '--bounding-set=-net_raw,-net_admin', '--inh-caps=-net_raw,-net_admin'],
    );
    expect(code, printed).toBe(0);
    const [frames, datagrams] = Object.values(line);
    expect(frames).toMatchObject({
      event: {
        socket: 'eth0',
        error: { call: 'socket(AF_PACKET)', code: 'EPERM', text: expect.stringMatching(/CAP_NET_RAW/) },
      },
    });
    expect(datagrams).toMatchObject({ event: { socket: 'in' } });
    expect(datagrams).not.toHaveProperty('event.error');
  });
});

/** A process of its own with a probe in the namespace; its code, its last line, and all it printed. */
async function script(
  namespace: string,
  body: string,
  before: readonly string[] = [],
): Promise<[number | null, Record<string, unknown>, string]> {
  const head = `
    const { PacketThread } = await import(${here} + '/../../src/io/packet-thread.ts');
    const { dieLoudly } = await import(${here} + '/../../src/io/supervise.ts');
    const { createLog } = await import(${here} + '/../../src/io/log.ts');
    const { probeEntry } = await import(${here} + '/packet-probe.ts');
    const heard = [];
    const thread = new PacketThread(probeEntry(${JSON.stringify(namespace)}), (report) => heard.push(report));
    dieLoudly(createLog('info'), () => thread.recent);
    const alive = setInterval(() => {}, 1000);
    while (!heard.some(({ event }) => event?.on === 'links')) await new Promise((resolve) => setTimeout(resolve, 5));`;
  const command = [...before, process.execPath, '--input-type=module', '-e', `${head}\n${body}`];
  const child = spawn(command[0] ?? '', command.slice(1), {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: join(import.meta.dirname, '../..'),
  });
  const printed = text(child.stdout);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const last = (await printed).trim().split('\n').at(-1) ?? '';
  return [code, last === '' ? {} : JSON.parse(last), await printed];
}
