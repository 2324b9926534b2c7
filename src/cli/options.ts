// Values that flags hold, read strictly: an address with its port, lists of them, numbers. Errors are commander's, so
// that they name the flag. Used by the verbs that open sockets.

import { InvalidArgumentError } from 'commander';
import { parseIp } from '../net/address.ts';
import type { SocketAddress } from '../net/io.ts';

/** `192.0.2.1:179` or `[2001:db8::1]:179`. */
export function readSocketAddress(text: string): SocketAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  const address = parseIp(match?.[1] ?? match?.[2] ?? '');
  const port = Number(match?.[3]);
  const bracketed = match?.[1] !== undefined;
  if (address === undefined || bracketed !== address.includes(':') || !(port <= 65_535))
    throw new InvalidArgumentError(`"${text}" is not ADDRESS:PORT, such as 127.0.0.1:1790 or [::1]:1790`);
  return { address, port };
}

/** Separated by commas. */
export function readSocketAddresses(text: string): readonly SocketAddress[] {
  return text.split(',').map(readSocketAddress);
}

/** RFC 6793; 0 is no AS (RFC 7607). */
export function readAs(text: string): number {
  const as = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (as < 1 || as > 0xffff_ffff) throw new InvalidArgumentError(`"${text}" is no AS number (1 to 4294967295)`);
  return as;
}

/** A name that Linux gives to an interface. */
export function readInterface(text: string): string {
  if (text.includes(',')) throw new InvalidArgumentError(`"${text}" names several: give the flag once for each`);
  if (!/^[^\s/:]{1,15}$/.test(text) || text === '.' || text === '..')
    throw new InvalidArgumentError(`"${text}" is no name of an interface, such as eth0`);
  return text;
}
