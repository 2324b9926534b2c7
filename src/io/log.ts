// The log: one JSON object a line on stdout, with the keys that MetalLB's users search for (ts, level, msg, …). Written
// at once, so that the last line before an end is there. Made once a process, by whoever is the process.

import { destination, pino } from 'pino';

export type Level = 'debug' | 'info' | 'warn' | 'error' | 'fatal';
export type Log = Readonly<Record<Level, (fields: Readonly<Record<string, unknown>>, msg: string) => void>>;

export const LOG_LEVELS = ['all', 'debug', 'info', 'warn', 'error', 'none'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const PINO_LEVEL = {
  all: 'trace',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  none: 'silent',
} as const;

/** A log on a descriptor (1 = stdout). A reader that went away (a closed pipe) is no reason to end. */
export function createLog(level: LogLevel, fd = 1): Log {
  const out = destination({ dest: fd, sync: true });
  out.on('error', () => undefined);
  return pino(
    {
      level: PINO_LEVEL[level],
      base: {},
      timestamp: () => `,"ts":"${new Date().toISOString().replace(/\.\d+Z$/, 'Z')}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    out,
  );
}
