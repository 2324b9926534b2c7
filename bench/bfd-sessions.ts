// BFD sessions without BGP, for the bench of what they cost: `bfd-sessions.ts COUNT near|far`. The near end has one address,
// the far end COUNT of them; 300 ms × 3. Prints how many are up, each second.

import { PacketThread, threadEntry } from '../src/io/packet-thread.ts';
import type { BfdWanted, LinksWanted } from '../src/links/wanted.ts';
import type { LinksReport, LinksView } from '../src/links.ts';
import { type Ip, parseIp } from '../src/net/address.ts';

export const NEAR = '198.18.0.1';
export const farAddress = (i: number): string => `198.18.${1 + (i >> 7)}.${1 + (i & 127)}`;

const PARAMETERS: BfdWanted['parameters'] = {
  ...{ detectMult: 3, desiredMinTxMs: 300, requiredMinRxMs: 300, slowTxMs: 1_000 },
  ...{ passive: false, minTtl: 255, keys: [] },
};

function address(text: string): Ip {
  const ip = parseIp(text);
  if (ip === undefined) throw new Error(`no address: ${text}`);
  return ip;
}

function run(count: number, end: string): void {
  const session = (i: number): BfdWanted => {
    const [remote, local] = end === 'near' ? [farAddress(i), NEAR] : [NEAR, farAddress(i)];
    return { hops: 'single', remote: address(remote), local: address(local), adminDown: false, parameters: PARAMETERS };
  };
  const up = new Set<string>();
  const thread = new PacketThread<LinksWanted, LinksReport, LinksView>(threadEntry('packets'), (report) => {
    if (report.report !== 'bfd-state') return;
    if (report.to === 'Up') up.add(report.session);
    else up.delete(report.session);
    if (report.failure) process.stdout.write('failure\n');
  });
  thread.want({ sessions: new Map(Array.from({ length: count }, (_, i) => [`s${i}`, session(i)])) });
  setInterval(() => process.stdout.write(`up ${up.size}\n`), 1_000);
}

if (import.meta.main) run(Number(process.argv[2]), process.argv[3] ?? '');
