// The end of a process, in processes of its own: by a signal, by an echo of it, by a bug.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';

const io = JSON.stringify(join(import.meta.dirname, '../../src/io'));

/** Runs a script that has supervise and log at hand; its code, and what it printed. */
async function script(body: string, signals: readonly NodeJS.Signals[] = []): Promise<[number | null, string]> {
  const head = `const { leaveOnSignal, dieLoudly } = await import(${io} + '/supervise.ts');
    const { createLog } = await import(${io} + '/log.ts'); const log = createLog('info');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', `${head}\n${body}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  const printed = text(child.stdout);
  child.stdout.once('data', () => {
    for (const signal of signals) child.kill(signal);
  });
  await closed;
  return [child.exitCode, await printed];
}

const alive = 'setInterval(() => {}, 1000); console.log("ready");';

describe('the end of a process', () => {
  it('is 0 once it has left, also when terminal and parent both pass the signal on', async () => {
    const leave =
      'leaveOnSignal(async (signal) => { console.log(signal); await new Promise((r) => setTimeout(r, 50)); }, 5000);';
    expect(await script(leave + alive, ['SIGINT', 'SIGTERM'])).toEqual([0, expect.stringMatching(/^ready\nSIG\w+\n$/)]);
  });

  it('does not wait longer than the limit for what hangs', async () => {
    const [code] = await script(`leaveOnSignal(() => new Promise(() => {}), 100); ${alive}`, ['SIGTERM']);
    expect(code).toBe(0);
  });

  it.each([
    ['an exception', 'setTimeout(() => { throw new Error("oops"); }, 1);'],
    ['a rejection', 'Promise.reject(new Error("oops"));'],
  ])('is 70 after %s that nobody caught, with the last events on a fatal line', async (_, fault) => {
    const [code, printed] = await script(`dieLoudly(log, () => ['1.0 tcp-data a#1']); ${alive} ${fault}`);
    expect(code).toBe(70);
    const line = JSON.parse(printed.trim().split('\n').at(-1) ?? '');
    expect(line).toMatchObject({ level: 'fatal', op: 'crash', recent: ['1.0 tcp-data a#1'] });
    expect(line.error).toContain('oops');
    expect(line.ts).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });
});
