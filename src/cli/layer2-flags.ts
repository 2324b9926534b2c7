// The flags of layer 2: MetalLB's of its memberlist, which say how speakers find and believe each other, and ours. Used by
// the verbs `speaker` and `standalone`.

import type { Layer2Settings } from '../process/layer2-wanted.ts';
import type { MemberlistFlags } from '../process/speaker-layer2.ts';
import type { Flags } from './go-flags.ts';
import { given } from './process-flags.ts';

export const LAYER2_FLAGS = {
  'ml-bindaddr': {
    kind: 'text',
    env: 'METALLB_ML_BIND_ADDR',
    otherwise: '',
    help: 'with -ml-labels: speakers hear each other; empty: each answers for what all Nodes elect it for',
  },
  'ml-bindport': {
    kind: 'text',
    env: 'METALLB_ML_BIND_PORT',
    otherwise: '',
    help: 'UDP port of the speakers among themselves, on every interface that serves layer 2; empty: 7946',
  },
  'ml-labels': { kind: 'text', env: 'METALLB_ML_LABELS', otherwise: '', help: 'labels of the Pods of all speakers' },
  'ml-secret-key-path': {
    kind: 'text',
    env: 'METALLB_ML_SECRET_KEY_PATH',
    otherwise: '',
    help: 'folder of the file secretkey, by which speakers believe each other; may be renewed while they run',
  },
  'ml-wan-config': { kind: 'truth', otherwise: 'false', help: 'taken: there is no memberlist to be tuned' },
  'l2-conflict': {
    kind: 'text',
    otherwise: 'refuse',
    help: 'refuse or warn: what to do about an address that another machine of the LAN has',
  },
  'l2-failback': {
    kind: 'text',
    otherwise: '120',
    help: 'seconds that the first in order must have been stable before it gets an address back, or never; 0: at once',
  },
  'l2-refresh': { kind: 'text', otherwise: '60', help: 'seconds between announcements of an address, or never' },
  'l2-frames-per-second': {
    kind: 'number',
    otherwise: '500',
    help: 'announcements on an interface, at most; answers are not counted',
  },
} as const;

const PORT = 7_946;
const LONGEST_S = 31_536_000;

/** What is not set otherwise. */
export const LAYER2_DEFAULTS: Omit<Layer2Settings, 'excluded'> = {
  announcements: { framesPerSecond: 500, refreshMs: 60_000 },
  conflict: 'refuse',
  failbackMs: 120_000,
};

type Layer2Flags = Flags<typeof LAYER2_FLAGS>;

/** Throws an Error that names the flag, and what it may be. */
export function readLayer2Settings(flags: Layer2Flags): Omit<Layer2Settings, 'excluded'> {
  const conflict = flags['l2-conflict'];
  if (conflict !== 'refuse' && conflict !== 'warn')
    throw new Error(`--l2-conflict ${conflict}: must be refuse or warn`);
  const framesPerSecond = flags['l2-frames-per-second'];
  if (framesPerSecond < 1 || framesPerSecond > 100_000)
    throw new Error(`--l2-frames-per-second ${framesPerSecond}: must be 1 to 100000`);
  const refreshMs = duration('--l2-refresh', flags['l2-refresh'], 1);
  return {
    announcements: { framesPerSecond, refreshMs },
    conflict,
    failbackMs: duration('--l2-failback', flags['l2-failback'], 0),
  };
}

/** Undefined: speakers do not hear each other, as in MetalLB without these flags. Throws an Error that names the flag. */
export function readMemberlistFlags(flags: Layer2Flags): MemberlistFlags | undefined {
  const port = flags['ml-bindport'] === '' ? PORT : Number(flags['ml-bindport']);
  if (!/^\d{0,5}$/.test(flags['ml-bindport']) || port < 1 || port > 65_535)
    throw new Error(`--ml-bindport ${flags['ml-bindport']}: must be a port, 1 to 65535`);
  const labels = flags['ml-labels'];
  if (labels === '' || flags['ml-bindaddr'] === '') return undefined;
  const secretFolder = given(flags['ml-secret-key-path']);
  return { labels, port, ...(secretFolder !== undefined && { secretFolder }) };
}

function duration(flag: string, text: string, least: number): number {
  if (text === 'never') return Number.POSITIVE_INFINITY;
  const seconds = Number(text);
  if (!/^\d{1,8}$/.test(text) || seconds < least || seconds > LONGEST_S)
    throw new Error(`${flag} ${text}: must be seconds (${least} to ${LONGEST_S}) or never`);
  return seconds * 1_000;
}
