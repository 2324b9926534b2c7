// A client of the demo, in a namespace: `node client.ts URL` asks by HTTP ten times a second, each time over a connection
// of its own, whether or not earlier questions were answered, and prints a line of JSON for each: a `Request`. Times
// are of the monotonic clock that all processes of this machine share.

import { get } from 'node:http';
import type { Request } from './answers.ts';

export const EVERY_MS = 100;
/** Below the second after which a lost SYN is sent again (RFC 6298 §2.1): what was lost on the way counts as lost. */
export const PATIENCE_MS = 900;

/** Milliseconds, as in every other process. */
export function now(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

type Outcome = Pick<Request, 'from'> | Pick<Request, 'error'>;

function ask(url: string): Promise<Outcome & { readonly code?: string }> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => resolve({ from: body }));
      response.on('error', fail);
    });
    const fail = (fault: NodeJS.ErrnoException): void =>
      resolve({ error: fault.message, ...(fault.code && { code: fault.code }) });
    request.on('error', fail);
    // what came in while this process had to wait for a processor is read first
    const giveUp = (): void => void request.destroy(new Error(`no answer within ${PATIENCE_MS} ms`));
    setTimeout(() => setImmediate(() => setImmediate(giveUp)), PATIENCE_MS).unref();
  });
}

/** As every client of HTTP does (RFC 9110 §9.2.2): a connection that was reset is made once more, at once. */
async function askTwice(url: string): Promise<Outcome & { readonly again?: true }> {
  const first = await ask(url);
  return first.code === 'ECONNRESET' ? { ...(await ask(url)), again: true } : first;
}

async function report(url: string): Promise<void> {
  const at = now();
  const outcome = await askTwice(url);
  process.stdout.write(`${JSON.stringify({ at, tookMs: now() - at, ...outcome })}\n`);
}

if (process.argv[1] === import.meta.filename) {
  // whoever listened has ended
  process.stdout.on('error', () => process.exit(0));
  setInterval(() => void report(process.argv[2] ?? ''), EVERY_MS);
}
