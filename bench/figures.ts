// Figures of one run side by side: medians, spreads, the ratio of ours to each rival. Used by every bench.

import { readFileSync } from 'node:fs';

/** One candidate's measurements of one quantity. */
export interface Figures {
  readonly who: string;
  readonly values: readonly number[];
}

export interface Row {
  /** What was measured, with its size. */
  readonly what: string;
  readonly unit: string;
  /** The first is ours. */
  readonly figures: readonly Figures[];
  /** What we promise, in words; `met` is asked of the median of ours and those of the rivals by name. */
  readonly goal?: {
    readonly text: string;
    readonly met: (ours: number, rivals: ReadonlyMap<string, number>) => boolean;
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The least value that this share of all does not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

const number = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** Prints a row; false when its goal was missed. */
export function print({ what, unit, figures, goal }: Row): boolean {
  const [ours, ...rivals] = figures;
  if (ours === undefined) throw new Error(`${what}: nothing was measured`);
  const mine = median(ours.values);
  console.log(`\n${what}, ${unit}, median (least - most) of ${ours.values.length}`);
  for (const { who, values } of figures) {
    const middle = median(values);
    const spread = `(${number(Math.min(...values))} - ${number(Math.max(...values))})`;
    const ratio = who === ours.who ? '' : `  ours is ${(mine / middle).toFixed(2)} x ${who}`;
    console.log(`  ${who.padEnd(16)} ${number(middle).padStart(10)} ${spread.padEnd(22)}${ratio}`);
  }
  if (goal === undefined) return true;
  const met = goal.met(mine, new Map(rivals.map(({ who, values }) => [who, median(values)])));
  console.log(`  goal: ${goal.text}: ${met ? 'met' : 'MISSED'}`);
  return met;
}

/** Measurements of one quantity that are promised to stay within a bound, nearly always. */
export interface Spread {
  readonly what: string;
  readonly values: readonly number[];
  /** Of the 99th percentile, in the values' unit. Undefined: told beside the others, and no promise. */
  readonly most?: number | undefined;
  /** A constant that was measured elsewhere. */
  readonly rival?: { readonly who: string; readonly value: number } | undefined;
}

/** Prints what belongs together, a line each; false when a goal was missed. */
export function printSpreads(title: string, spreads: readonly Spread[]): boolean {
  console.log(`\n${title}`);
  let met = true;
  for (const { what, values, most, rival } of spreads) {
    if (values.length === 0) throw new Error(`${title}: ${what}: nothing was measured`);
    const p99 = percentile(values, 0.99);
    const isMet = most === undefined || p99 <= most;
    const figures = `p50 ${number(median(values)).padStart(6)}  p99 ${number(p99).padStart(6)}`;
    const other = rival === undefined ? '' : `${rival.who} ${number(rival.value)}`;
    const goal = most === undefined ? '' : `goal: p99 <= ${number(most)}: ${isMet ? 'met' : 'MISSED'}`;
    console.log(`  ${what.padEnd(34)} ${figures}  ${other.padEnd(14)} ${goal}`.trimEnd());
    met &&= isMet;
  }
  return met;
}

/** Adds one measurement to a candidate's list. */
export class Measurements {
  readonly #values = new Map<string, Map<string, number[]>>();

  add(what: string, who: string, value: number): void {
    const of = this.#values.get(what) ?? new Map<string, number[]>();
    this.#values.set(what, of);
    of.set(who, [...(of.get(who) ?? []), value]);
  }

  of(what: string): Figures[] {
    return [...(this.#values.get(what) ?? [])].map(([who, values]) => ({ who, values }));
  }
}

/** User and system time that a process has taken so far. */
export function cpuSeconds(pid: number): number {
  // proc_pid_stat(5): the fields after the command's name, which may hold anything; the kernel's unit is 10 ms
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Resident memory of a process in MiB: now, or the most that it ever had. */
export function residentMiB(status: string, most = false): number {
  const found = new RegExp(`${most ? 'VmHWM' : 'VmRSS'}:\\s+(\\d+) kB`).exec(status)?.[1];
  return Number(found) / 1024;
}
