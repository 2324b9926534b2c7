// A wire that treats BFD badly, for kernels without netem: `node bad-wire.ts NEAR FAR FAULTS` carries Ethernet frames between
// two TAP interfaces of its namespace, and loses, delays, overtakes or doubles those that hold BFD. FAULTS is JSON.

import { openSync, read, writeSync } from 'node:fs';
import koffi from 'koffi';

export interface WireFaults {
  /** Shares of BFD's packets. */
  readonly lost?: number;
  readonly doubled?: number;
  /** These are late by up to `delayMs` more than the others. */
  readonly overtaken?: number;
  readonly delayMs?: number;
}

/** linux/if_tun.h: _IOW('T', 202, int), frames without a head of TUN's own. */
const TUNSETIFF = 0x400454ca;
const IFF_TAP_NO_PI = 0x1002;
const BFD_PORTS = new Set([3784, 4784]);

function openTap(name: string): number {
  const ioctl = koffi.load('libc.so.6').func('int ioctl(int, unsigned long, void *)');
  const fd = openSync('/dev/net/tun', 'r+');
  // struct ifreq: the name in 16 octets, then the flags
  const request = Buffer.alloc(40);
  request.write(name, 'latin1');
  request.writeUInt16LE(IFF_TAP_NO_PI, 16);
  if (ioctl(fd, TUNSETIFF, request) < 0) throw new Error(`no TAP interface ${name}`);
  return fd;
}

/** Destination port of a UDP packet over IPv4 without options or IPv6 without extension headers. */
function portOf(frame: Buffer): number {
  const type = frame.readUInt16BE(12);
  if (type === 0x0800 && frame[23] === 17) return frame.readUInt16BE(14 + 20 + 2);
  return type === 0x86dd && frame[20] === 17 ? frame.readUInt16BE(14 + 40 + 2) : 0;
}

/** The same fates at every run. */
function chances(): () => number {
  let state = 0x2545f491;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function carry(from: number, to: number, faults: WireFaults, chance: () => number): void {
  const { lost = 0, doubled = 0, overtaken = 0, delayMs = 0 } = faults;
  const room = Buffer.alloc(2_048);
  const send = (frame: Buffer, ms: number): void => {
    if (ms === 0) writeSync(to, frame);
    else setTimeout(() => writeSync(to, frame), ms);
  };
  const next = (): void =>
    read(from, room, 0, room.length, null, (fault, length) => {
      if (fault !== null) throw fault;
      const frame = Buffer.from(room.subarray(0, length));
      if (!BFD_PORTS.has(portOf(frame))) send(frame, 0);
      else if (chance() >= lost) {
        const base = overtaken > 0 ? 0 : delayMs;
        send(frame, chance() < overtaken ? base + delayMs * chance() : base);
        if (chance() < doubled) send(frame, base);
      }
      next();
    });
  next();
}

if (import.meta.main) {
  const [near = '', far = '', faults = '{}'] = process.argv.slice(2);
  const ends = [openTap(near), openTap(far)] as const;
  const chance = chances();
  carry(ends[0], ends[1], JSON.parse(faults), chance);
  carry(ends[1], ends[0], JSON.parse(faults), chance);
  process.stdout.write('carrying\n');
}
