// A piece of memory of the C library's kind: it never moves and is never freed, so structures in it may point at other
// places in it. For the three structures that hold pointers (msghdr, iovec, sock_fprog): a pointer at a Buffer would
// dangle as soon as the garbage collector freed or moved what only the kernel's side knows.

import koffi from 'koffi';
import { failed, libc } from '../syscall.ts';

const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;

const mmap = libc.func('void *mmap(void *, size_t, int, int, int, long)');

export class Memory {
  /** All of it; a part of it may be given to a system call like any Buffer. */
  readonly bytes: Buffer;
  readonly #address: bigint;

  /** Throws SystemCallError when there is none. */
  constructor(size: number) {
    const at: unknown = mmap(null, size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
    this.#address = koffi.address(at);
    // MAP_FAILED
    if (this.#address === 0xffff_ffff_ffff_ffffn) throw failed('mmap');
    this.bytes = Buffer.from(koffi.view(at, size));
  }

  /** Writes at `at` a pointer to `to`; both are offsets. */
  point(at: number, to: number): void {
    this.bytes.writeBigUInt64LE(this.#address + BigInt(to), at);
  }
}
