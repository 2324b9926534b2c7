// Reading octets without ever passing the end of the slice that was given. A codec asks `left` first or catches
// `Truncated`, which never leaves it.

/** A read past the end of the slice: the codec that owns the slice turns it into the protocol's error. */
export class Truncated extends Error {}

/** A cursor over one slice; `sub` gives a reader fenced to its own part. Values are big-endian. */
export class Reader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  u8(): number {
    this.#need(1);
    return this.bytes[this.at++] as number;
  }

  u16(): number {
    this.#need(2);
    const { bytes, at } = this;
    this.at = at + 2;
    return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  }

  u32(): number {
    this.#need(4);
    const { bytes, at } = this;
    this.at = at + 4;
    return (
      (bytes[at] as number) * 0x1000000 +
      (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
    );
  }

  /** A view, not a copy: whoever keeps it copies it. */
  take(length: number): Uint8Array {
    this.#need(length);
    const view = this.bytes.subarray(this.at, this.at + length);
    this.at += length;
    return view;
  }

  sub(length: number): Reader {
    this.#need(length);
    const reader = new Reader(this.bytes, this.at, this.at + length);
    this.at += length;
    return reader;
  }

  #need(length: number): void {
    if (length > this.end - this.at) throw new Truncated(`${length} octets wanted, ${this.end - this.at} left`);
  }
}
