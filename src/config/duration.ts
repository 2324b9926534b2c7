// Durations as Kubernetes writes them: Go's `time.ParseDuration` and `Duration.String`. Used by the readers (holdTime,
// keepaliveTime, connectTime) and by texts that name a duration.

const NANOSECONDS: ReadonlyMap<string, bigint> = new Map([
  ['ns', 1n],
  ['us', 1_000n],
  ['µs', 1_000n],
  ['μs', 1_000n],
  ['ms', 1_000_000n],
  ['s', 1_000_000_000n],
  ['m', 60_000_000_000n],
  ['h', 3_600_000_000_000n],
]);
const MAX_INT64 = (1n << 63n) - 1n;

/** Milliseconds (with fractions down to a nanosecond, negative where written so), or Go's text of what is wrong. */
export function parseDuration(text: string): { readonly ms: number } | { readonly error: string } {
  const name = JSON.stringify(text);
  const invalid = { error: `time: invalid duration ${name}` };
  const negative = text.startsWith('-');
  const unsigned = /^[-+]/.test(text) ? text.slice(1) : text;
  if (unsigned === '0') return { ms: 0 };
  if (unsigned === '') return invalid;
  let total = 0n;
  for (let at = 0; at < unsigned.length; ) {
    const part = /^(\d*)(?:\.(\d*))?([^\d.]*)/.exec(unsigned.slice(at));
    const [all = '', whole = '', fraction = '', unit = ''] = part ?? [];
    if (whole === '' && fraction === '') return invalid;
    if (unit === '') return { error: `time: missing unit in duration ${name}` };
    const scale = NANOSECONDS.get(unit);
    if (scale === undefined) return { error: `time: unknown unit ${JSON.stringify(unit)} in duration ${name}` };
    // a fraction of more than 18 digits is below a nanosecond even of an hour
    const digits = fraction.slice(0, 18);
    total += BigInt(whole === '' ? '0' : whole) * scale;
    if (digits !== '') total += (BigInt(digits) * scale) / 10n ** BigInt(digits.length);
    if (total > MAX_INT64) return invalid;
    at += all.length;
  }
  // in two parts: nanoseconds of more than 104 days do not fit a number
  const ms = Number(total / 1_000_000n) + Number(total % 1_000_000n) / 1e6;
  return { ms: negative ? 0 - ms : ms };
}

/** `1m30s`, `1.5s`, `500ms`, `0s`. */
export function formatDuration(ms: number): string {
  const whole = Math.trunc(Math.abs(ms));
  const nanoseconds = BigInt(whole) * 1_000_000n + BigInt(Math.round((Math.abs(ms) - whole) * 1e6));
  if (nanoseconds === 0n) return '0s';
  const sign = ms < 0 ? '-' : '';
  if (nanoseconds < 1_000n) return `${sign}${nanoseconds}ns`;
  if (nanoseconds < 1_000_000n) return `${sign}${decimal(nanoseconds, 3)}µs`;
  if (nanoseconds < 1_000_000_000n) return `${sign}${decimal(nanoseconds, 6)}ms`;
  const minutes = nanoseconds / 60_000_000_000n;
  const seconds = `${decimal(nanoseconds % 60_000_000_000n, 9)}s`;
  if (minutes === 0n) return sign + seconds;
  return minutes < 60n ? `${sign}${minutes}m${seconds}` : `${sign}${minutes / 60n}h${minutes % 60n}m${seconds}`;
}

function decimal(value: bigint, places: number): string {
  const unit = 10n ** BigInt(places);
  const fraction = (value % unit).toString().padStart(places, '0').replace(/0+$/, '');
  return fraction === '' ? `${value / unit}` : `${value / unit}.${fraction}`;
}
