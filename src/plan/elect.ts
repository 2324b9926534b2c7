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

/** The whole order, first the owner. Two nodes never have one digest. */
export function ranking(ip: Ip, candidates: readonly Candidate[]): readonly string[] {
  return candidates
    .map(({ node, score }) => ({ node, score, digest: digestOf(node, ip) }))
    .sort((a, b) => b.score - a.score || (a.digest < b.digest ? -1 : 1))
    .map(({ node }) => node);
}

/**
 * Owners by address, for the candidates that they were chosen from. Hashing is what costs: an answer is kept while its
 * candidates are the same, and forgotten when a whole generation did not ask for it.
 */
export interface Election {
  now: Answers;
  before: Answers;
}

interface Answers {
  readonly owners: Map<Ip, { readonly among: readonly Candidate[]; readonly owner: string }>;
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

/** The same list for the same candidates, whoever asks: `ownerOf` knows lists by identity. */
export function interned({ now, before }: Election, candidates: readonly Candidate[]): readonly Candidate[] {
  const text = JSON.stringify(candidates);
  const known = now.candidates.get(text) ?? before.candidates.get(text) ?? candidates;
  now.candidates.set(text, known);
  return known;
}

/** The owner; undefined: no candidate. `candidates` come from `interned`. */
export function ownerOf({ now, before }: Election, ip: Ip, candidates: readonly Candidate[]): string | undefined {
  for (const { owners } of [now, before]) {
    const known = owners.get(ip);
    if (known?.among !== candidates) continue;
    now.owners.set(ip, known);
    return known.owner;
  }
  const owner = first(ip, candidates);
  if (owner !== undefined) now.owners.set(ip, { among: candidates, owner });
  return owner;
}

/** The first of the ranking, without hashing those whose score is too low. */
function first(ip: Ip, candidates: readonly Candidate[]): string | undefined {
  const best = candidates.reduce((highest, { score }) => Math.max(highest, score), 0);
  let lowest: { readonly node: string; readonly digest: string } | undefined;
  for (const { node, score } of candidates) {
    if (score < best) continue;
    const digest = digestOf(node, ip);
    if (lowest === undefined || digest < lowest.digest) lowest = { node, digest };
  }
  return lowest?.node;
}

function noAnswers(): Answers {
  return { owners: new Map(), candidates: new Map() };
}

/** As hexadecimal digits, which order as the octets do. */
function digestOf(node: string, ip: Ip): string {
  return hash('sha256', `${node}#${ip}`, 'hex');
}
