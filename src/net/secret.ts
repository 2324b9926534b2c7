// A secret in memory. It prints as *** in text and JSON; only `reveal` gives it out, and only io calls that.

import { createHash } from 'node:crypto';

export class Secret {
  readonly #text: string;
  /** Equal for equal secrets, of no use to learn them within one process: for comparing configurations. */
  readonly fingerprint: string;
  /** Its length in UTF-8. */
  readonly octets: number;

  constructor(text: string) {
    this.#text = text;
    this.fingerprint = createHash('sha256').update(text).digest('hex');
    this.octets = Buffer.byteLength(text);
  }

  reveal(): string {
    return this.#text;
  }

  toString(): '***' {
    return '***';
  }

  toJSON(): '***' {
    return '***';
  }
}
