// ARP for IPv4 over Ethernet (RFC 826, RFC 5227): whole frames to words and back, and the forms that a responder sends.
// Called by `responder`. Frames come without a VLAN tag, as the kernel hands them over.

import { Parser } from 'binary-parser';
import type { Ip, Mac } from '../net/address.ts';
import { ipFromBytes, ipToBytes, macFromBytes, macToBytes } from '../net/address.ts';

export const BROADCAST = 'ff:ff:ff:ff:ff:ff' as Mac;
const ETHERTYPE = 0x0806;
/** Ethernet header and the packet for 6-octet hardware and 4-octet protocol addresses; padding may follow. */
const OCTETS = 42;
const NO_ADDRESS = '0.0.0.0' as Ip;
const NO_MAC = '00:00:00:00:00:00' as Mac;

export interface ArpFrame {
  /** Of the Ethernet header. */
  readonly destination: Mac;
  readonly source: Mac;
  readonly operation: 'request' | 'reply';
  readonly senderMac: Mac;
  /** 0.0.0.0: a probe (RFC 5227 §1.1). */
  readonly senderIp: Ip;
  readonly targetMac: Mac;
  readonly targetIp: Ip;
}

export type ArpDrop = 'length' | 'hardwareType' | 'protocolType' | 'operation';

interface Layout {
  readonly destination: Uint8Array;
  readonly source: Uint8Array;
  readonly hardwareType: number;
  readonly protocolType: number;
  readonly hardwareLength: number;
  readonly protocolLength: number;
  readonly operation: number;
  readonly senderMac: Uint8Array;
  readonly senderIp: Uint8Array;
  readonly targetMac: Uint8Array;
  readonly targetIp: Uint8Array;
}

const layout = new Parser()
  .endianness('big')
  .buffer('destination', { length: 6 })
  .buffer('source', { length: 6 })
  .uint16('etherType')
  .uint16('hardwareType')
  .uint16('protocolType')
  .uint8('hardwareLength')
  .uint8('protocolLength')
  .uint16('operation')
  .buffer('senderMac', { length: 6 })
  .buffer('senderIp', { length: 4 })
  .buffer('targetMac', { length: 6 })
  .buffer('targetIp', { length: 4 });

export function isArp(frame: Uint8Array): boolean {
  return frame.length >= 14 && ((frame[12] ?? 0) << 8) + (frame[13] ?? 0) === ETHERTYPE;
}

/** An Ethernet frame that `isArp`, as words, or the first rule of RFC 826 that it breaks. */
export function decode(frame: Uint8Array): { readonly frame: ArpFrame } | { readonly drop: ArpDrop } {
  if (frame.length < OCTETS) return { drop: 'length' };
  const fields: Layout = layout.parse(frame.subarray(0, OCTETS));
  if (fields.hardwareType !== 1 || fields.hardwareLength !== 6) return { drop: 'hardwareType' };
  if (fields.protocolType !== 0x0800 || fields.protocolLength !== 4) return { drop: 'protocolType' };
  if (fields.operation !== 1 && fields.operation !== 2) return { drop: 'operation' };
  return {
    frame: {
      destination: macFromBytes(fields.destination),
      source: macFromBytes(fields.source),
      operation: fields.operation === 1 ? 'request' : 'reply',
      senderMac: macFromBytes(fields.senderMac),
      senderIp: ipFromBytes(fields.senderIp),
      targetMac: macFromBytes(fields.targetMac),
      targetIp: ipFromBytes(fields.targetIp),
    },
  };
}

export function encode(frame: ArpFrame): Uint8Array {
  const bytes = new Uint8Array(OCTETS);
  bytes.set(macToBytes(frame.destination), 0);
  bytes.set(macToBytes(frame.source), 6);
  bytes.set([0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, frame.operation === 'request' ? 1 : 2], 12);
  bytes.set(macToBytes(frame.senderMac), 22);
  bytes.set(ipToBytes(frame.senderIp), 28);
  bytes.set(macToBytes(frame.targetMac), 32);
  bytes.set(ipToBytes(frame.targetIp), 38);
  return bytes;
}

/** It can be the MAC of one machine: no group (IEEE 802, the lowest bit of the first octet) and not zero. */
export function isStation(mac: Mac): boolean {
  return mac !== NO_MAC && ((macToBytes(mac)[0] ?? 0) & 1) === 0;
}

export function isProbe({ operation, senderIp }: ArpFrame): boolean {
  return operation === 'request' && senderIp === NO_ADDRESS;
}

/** To all or to one: here it is (RFC 5227 §3 has requests; some hosts believe only replies, so both are sent). */
export function announcement(mac: Mac, ip: Ip, operation: 'request' | 'reply'): Uint8Array {
  const [destination, targetMac] = [BROADCAST, BROADCAST];
  return encode({ destination, source: mac, operation, senderMac: mac, senderIp: ip, targetMac, targetIp: ip });
}

/** The answer to a request, and what one who asked before is told after a take-over. */
export function reply(mac: Mac, ip: Ip, to: { readonly mac: Mac; readonly ip: Ip }): Uint8Array {
  const [destination, targetMac, targetIp] = [to.mac, to.mac, to.ip];
  return encode({ destination, source: mac, operation: 'reply', senderMac: mac, senderIp: ip, targetMac, targetIp });
}

/** Who has it? A probe that enters no cache, unless it is asked `as` an address of ours. */
export function question(mac: Mac, ip: Ip, to: Mac = BROADCAST, as: Ip = NO_ADDRESS): Uint8Array {
  const request = { destination: to, source: mac, operation: 'request', senderMac: mac, senderIp: as } as const;
  return encode({ ...request, targetMac: NO_MAC, targetIp: ip });
}
