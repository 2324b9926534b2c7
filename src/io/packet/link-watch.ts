// The links of this machine, watched: one netlink socket that is subscribed first and then asked for all there is, so that
// nothing is missed in between, and all in one order. What the kernel had to drop (ENOBUFS) is asked for again, whole.
// Owned by packet/loop. rtnetlink(7), RFC 3549.

import type { SystemError } from '../../net/io.ts';
import { OFF } from '../../net/machine.ts';
import type { LinkState } from '../../net/packet-io.ts';
import { closeSocket, errorOf, SystemCallError } from '../syscall.ts';
import { attachFilter, DEFAULT_ROUTES } from './filter.ts';
import { bindNetlink, growReceiveBuffer, openNetlink, receive, send } from './kernel.ts';
import { LinkTable } from './link-table.ts';
import { type DumpKind, decode, encodeDump } from './netlink.ts';

/** RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE. */
const GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
const AGAIN_MS = 1_000;
/** A burst of changes becomes one event, and the first of them is told at once. */
const APART_MS = 20;
const MOST_IN_A_TURN = 16;
/** The kernel makes answers of up to 32 KiB. */
const buffer = Buffer.alloc(1 << 16);

export class LinkWatch {
  /** What is known; during a first dump, or one after a loss, still what was known before. */
  table = new LinkTable();
  fd: number | undefined;
  readonly #failed: (error: SystemError) => void;
  /** Filled by the dump that runs; the same as `table` when only routes are asked for again. */
  #coming = this.table;
  #asked: DumpKind | undefined;
  #interrupted = false;
  #isWhole = false;
  #dirty = false;
  #said = '[]';
  #saidAt = -OFF;
  #againAt = -OFF;

  constructor(failed: (error: SystemError) => void) {
    this.#failed = failed;
  }

  /** All links have been seen at least once. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  get dueAt(): number {
    if (this.fd === undefined) return this.#againAt;
    return this.#dirty ? this.#saidAt + APART_MS : OFF;
  }

  /** Opens the socket where there is none. */
  start(now: number): void {
    if (this.fd !== undefined || now < this.#againAt) return;
    try {
      this.fd = openNetlink();
      growReceiveBuffer(this.fd);
      attachFilter(this.fd, DEFAULT_ROUTES);
      bindNetlink(this.fd, GROUPS);
      this.#askAll();
    } catch (fault) {
      this.#broken(fault, now);
    }
  }

  /** All that waits, within bounds. */
  drain(now: number): void {
    try {
      for (let count = 0; count < MOST_IN_A_TURN && this.fd !== undefined; count++) {
        const length = receive(this.fd, buffer, 'netlink');
        if (length === undefined) return;
        this.#take(buffer.subarray(0, length));
      }
    } catch (fault) {
      // ENOBUFS: messages were lost
      const lost = fault instanceof SystemCallError && fault.error.code === 'ENOBUFS';
      this.#broken(fault, lost ? -OFF : now);
      if (lost) this.start(now);
    }
  }

  /** All links, when there is something new to say of them. */
  changed(now: number): readonly LinkState[] | undefined {
    if (!this.#dirty || now < this.#saidAt + APART_MS) return undefined;
    this.#dirty = false;
    const links = this.table.states();
    const text = JSON.stringify(links);
    if (text === this.#said) return undefined;
    this.#said = text;
    this.#saidAt = now;
    return links;
  }

  close(): void {
    if (this.fd !== undefined) closeSocket(this.fd);
    this.fd = undefined;
  }

  #take(bytes: Buffer): void {
    for (const message of decode(bytes)) {
      const { isDump, isInterrupted } = message.flags;
      this.#interrupted ||= isInterrupted;
      if (message.is === 'done') this.#dumped();
      else if (message.is === 'error') throw new SystemCallError(errorOf(`netlink ${this.#asked}`, message.errno));
      else {
        this.#coming.apply(message, isDump);
        this.#dirty ||= this.#coming === this.table;
      }
    }
    if (this.#asked === undefined && this.table.routesAreOld) this.#ask('routes');
  }

  #askAll(): void {
    this.#coming = new LinkTable();
    this.#ask('links');
  }

  #ask(kind: DumpKind): void {
    if (this.fd === undefined) return;
    if (kind === 'routes') this.#coming.beginRoutes();
    this.#asked = kind;
    this.#interrupted = false;
    send(this.fd, encodeDump(kind), `netlink ${kind}`);
  }

  #dumped(): void {
    const asked = this.#asked;
    this.#asked = undefined;
    if (this.#interrupted) {
      if (this.#coming === this.table) this.#ask('routes');
      else this.#askAll();
    } else if (asked === 'links') this.#ask('addresses');
    else if (asked === 'addresses') this.#ask('routes');
    else {
      this.#coming.endRoutes();
      this.table = this.#coming;
      this.#isWhole = true;
      this.#dirty = true;
    }
  }

  #broken(fault: unknown, now: number): void {
    if (!(fault instanceof SystemCallError)) throw fault;
    this.close();
    this.#asked = undefined;
    this.#againAt = now + AGAIN_MS;
    if (fault.error.code !== 'ENOBUFS') this.#failed(fault.error);
  }
}
