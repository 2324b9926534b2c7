// Which of the candidates answers for an address: the one with the highest preference, and of equal ones the one whose
// SHA-256 of `node#address` is lowest. Every node comes to the same answer from the same input, without a word between
// them; the Service plays no part, so Services that share an address share its owner. Called by layer2.

import { hash } from 'node:crypto';
import type { Ip } from '../net/address.ts';

export interface Candidate {
  readonly node: string;
  /** Sum over the advertisements that prefer the node. */
  readonly score: number;
}

/** The whole order, first the one that should own the address. Two nodes never have one digest. */
export function ranking(ip: Ip, candidates: readonly Candidate[]): readonly Candidate[] {
  return candidates
    .map((candidate) => ({ candidate, digest: digestOf(candidate.node, ip) }))
    .sort((a, b) => b.candidate.score - a.candidate.score || (a.digest < b.digest ? -1 : 1))
    .map(({ candidate }) => candidate);
}

/**
 * Orders by address, for the candidates that they were made from. Hashing is what costs: an answer is kept while its
 * candidates are the same, and forgotten when a whole generation did not ask for it.
 */
export interface Election {
  now: Answers;
  before: Answers;
}

interface Answers {
  readonly orders: Map<Ip, { readonly among: readonly Candidate[]; readonly order: readonly Candidate[] }>;
  readonly candidates: Map<string, readonly Candidate[]>;
}

export function createElection(): Election {
  return { now: noAnswers(), before: noAnswers() };
}

/** Starts a new generation: to be called when Nodes or the configuration changed. */
export function turnOver(election: Election): void {
  election.before = election.now;
  election.now = noAnswers();
}

/** The same list for the same candidates, whoever asks: `orderOf` knows lists by identity. */
export function interned({ now, before }: Election, candidates: readonly Candidate[]): readonly Candidate[] {
  const text = JSON.stringify(candidates);
  const known = now.candidates.get(text) ?? before.candidates.get(text) ?? candidates;
  now.candidates.set(text, known);
  return known;
}

/** The ranking; the same list while its candidates are the same. `candidates` come from `interned`. */
export function orderOf({ now, before }: Election, ip: Ip, candidates: readonly Candidate[]): readonly Candidate[] {
  for (const { orders } of [now, before]) {
    const known = orders.get(ip);
    if (known?.among !== candidates) continue;
    now.orders.set(ip, known);
    return known.order;
  }
  const order = ranking(ip, candidates);
  now.orders.set(ip, { among: candidates, order });
  return order;
}

function noAnswers(): Answers {
  return { orders: new Map(), candidates: new Map() };
}

/** As hexadecimal digits, which order as the octets do. */
function digestOf(node: string, ip: Ip): string {
  return hash('sha256', `${node}#${ip}`, 'hex');
}
