// Netlink's messages of links, addresses and routes (RFC 3549; linux/netlink.h, rtnetlink.h, if_link.h, if_addr.h): the
// requests that make the kernel tell all of them, and what it tells. Called by link-watch. Integers are in the machine's
// order, which is little endian on x64 and arm64; attributes are padded to four octets.

import { type Ip, ipFromBytes, type Mac, macFromBytes } from '../../net/address.ts';

export type NetlinkRow =
  | { readonly is: 'link'; readonly gone: boolean; readonly link: LinkRow }
  | { readonly is: 'address'; readonly gone: boolean; readonly address: AddressRow }
  /** A default route; another kind is not told. */
  | { readonly is: 'route'; readonly gone: boolean; readonly hops: readonly GatewayRow[] };

export type NetlinkMessage = { readonly flags: MessageFlags } & (
  | NetlinkRow
  /** The end of a dump. */
  | { readonly is: 'done' }
  | { readonly is: 'error'; readonly errno: number }
);

export interface MessageFlags {
  /** Part of an answer; else a notification. */
  readonly isDump: boolean;
  /** Something changed since the dump began: it is worth nothing. */
  readonly isInterrupted: boolean;
}

export interface LinkRow {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  readonly carrier: boolean;
  readonly loopback: boolean;
  readonly arp: boolean;
  readonly mac?: Mac;
  /** Index of what it is a port of. */
  readonly master?: number;
  /** IFLA_INFO_KIND and IFLA_INFO_SLAVE_KIND. */
  readonly kind?: string;
  readonly portKind?: string;
}

export interface AddressRow {
  readonly index: number;
  readonly ip: Ip;
  readonly prefixLength: number;
  readonly tentative: boolean;
}

export interface GatewayRow {
  readonly index: number;
  readonly ip: Ip;
  /** RT_TABLE_MAIN: before those of policy routing and VRFs. */
  readonly main: boolean;
  /** The lower, the better. */
  readonly metric: number;
}

export type DumpKind = 'links' | 'addresses' | 'routes';

const HEADER = 16;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const REQUESTS: Readonly<Record<DumpKind, readonly [type: number, fixedPart: number]>> = {
  links: [18, 16],
  addresses: [22, 8],
  routes: [26, 12],
};
const NLM_F_REQUEST = 1;
const NLM_F_MULTI = 2;
const NLM_F_DUMP = 0x300;
const NLM_F_DUMP_INTR = 0x10;
const AF_UNSPEC = 0;
const AF_INET = 2;
const AF_INET6 = 10;
const IFLA_EXT_MASK = 29;
const RTEXT_FILTER_SKIP_STATS = 8;
const IFF_UP = 0x1;
const IFF_BROADCAST = 0x2;
const IFF_LOOPBACK = 0x8;
const IFF_RUNNING = 0x40;
const IFF_NOARP = 0x80;
const ARPHRD_ETHER = 1;
/** IF_OPER_NOTPRESENT, _DOWN, _LOWERLAYERDOWN (RFC 2863 §3.1.14). */
const DOWN = new Set([1, 2, 3]);
const IFA_F_OPTIMISTIC = 0x04;
const IFA_F_DADFAILED = 0x08;
const IFA_F_TENTATIVE = 0x40;
const RTN_UNICAST = 1;
const RT_TABLE_MAIN = 254;

type Attributes = ReadonlyMap<number, Buffer>;

/** Asks for all of one kind. */
export function encodeDump(kind: DumpKind): Buffer {
  const [type, fixed] = REQUESTS[kind];
  // the counters of each link would be most of the answer
  const extra = kind === 'links' ? 8 : 0;
  const bytes = Buffer.alloc(HEADER + fixed + extra);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6);
  if (extra > 0) {
    bytes.writeUInt16LE(extra, HEADER + fixed);
    bytes.writeUInt16LE(IFLA_EXT_MASK, HEADER + fixed + 2);
    bytes.writeUInt32LE(RTEXT_FILTER_SKIP_STATS, HEADER + fixed + 4);
  }
  return bytes;
}

/** What one receive brought. Messages that we have no use for are left out, and so is what is shorter than it says. */
export function decode(bytes: Buffer): readonly NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at + HEADER <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < HEADER || at + length > bytes.length) break;
    const type = bytes.readUInt16LE(at + 4);
    const bits = bytes.readUInt16LE(at + 6);
    const flags = { isDump: (bits & NLM_F_MULTI) !== 0, isInterrupted: (bits & NLM_F_DUMP_INTR) !== 0 };
    const body = bytes.subarray(at + HEADER, at + length);
    if (type === NLMSG_DONE) messages.push({ is: 'done', flags });
    else if (type === NLMSG_ERROR) {
      if (body.length >= 4) messages.push({ is: 'error', errno: -body.readInt32LE(0), flags });
    } else {
      const row = rowOf(type, body);
      if (row !== undefined) messages.push({ ...row, flags });
    }
    at += (length + 3) & ~3;
  }
  return messages;
}

function rowOf(type: number, body: Buffer): NetlinkRow | undefined {
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      const link = linkOf(body);
      return link && { is: 'link', gone: type === RTM_DELLINK, link };
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      const address = addressOf(body);
      return address && { is: 'address', gone: type === RTM_DELADDR, address };
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const hops = hopsOf(body);
      return hops && { is: 'route', gone: type === RTM_DELROUTE, hops };
    }
    default:
      return undefined;
  }
}

/** struct ifinfomsg: family 1, type 2 at 2, index at 4, flags at 8. */
function linkOf(body: Buffer): LinkRow | undefined {
  // PF_BRIDGE tells of ports; there a "deleted link" has only left its bridge
  if (body.length < 16 || body[0] !== AF_UNSPEC) return undefined;
  const attributes = attributesOf(body.subarray(16));
  const name = textOf(attributes.get(3));
  if (name === undefined) return undefined;
  const flags = body.readUInt32LE(8);
  const hardware = attributes.get(1);
  const information = attributesOf(attributes.get(18) ?? Buffer.alloc(0));
  const [kind, portKind] = [textOf(information.get(1)), textOf(information.get(4))];
  const master = attributes.get(10);
  const isEthernet = body.readUInt16LE(2) === ARPHRD_ETHER && hardware?.length === 6;
  return {
    index: body.readInt32LE(4),
    name,
    up: (flags & IFF_UP) !== 0,
    carrier: (flags & IFF_RUNNING) !== 0 && !DOWN.has(attributes.get(16)?.[0] ?? 0),
    loopback: (flags & IFF_LOOPBACK) !== 0,
    arp: (flags & IFF_BROADCAST) !== 0 && (flags & IFF_NOARP) === 0,
    ...(isEthernet && hardware !== undefined && { mac: macFromBytes(hardware) }),
    ...(master?.length === 4 && { master: master.readUInt32LE(0) }),
    ...(kind !== undefined && { kind }),
    ...(portKind !== undefined && { portKind }),
  };
}

/** struct ifaddrmsg: family, prefix length, flags, scope, index at 4. IFA_ADDRESS is the other end of a point-to-point link. */
function addressOf(body: Buffer): AddressRow | undefined {
  if (body.length < 8) return undefined;
  const attributes = attributesOf(body.subarray(8));
  const ip = ipOf(attributes.get(2) ?? attributes.get(1), body[0]);
  if (ip === undefined) return undefined;
  const wide = attributes.get(8);
  const flags = wide?.length === 4 ? wide.readUInt32LE(0) : (body[2] ?? 0);
  // RFC 4429: an optimistic address may be used
  const waits = (flags & IFA_F_TENTATIVE) !== 0 && (flags & IFA_F_OPTIMISTIC) === 0;
  const tentative = waits || (flags & IFA_F_DADFAILED) !== 0;
  return { index: body.readUInt32LE(4), ip, prefixLength: body[1] ?? 0, tentative };
}

/** struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type. Undefined: no default route of IPv4 or IPv6. */
function hopsOf(body: Buffer): readonly GatewayRow[] | undefined {
  if (body.length < 12 || body[1] !== 0 || body[7] !== RTN_UNICAST) return undefined;
  const family = body[0];
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const attributes = attributesOf(body.subarray(12));
  const table = uint32(attributes.get(15)) ?? body[4];
  const metric = uint32(attributes.get(6)) ?? 0;
  const hops: GatewayRow[] = [];
  const add = (index: number | undefined, of: Attributes) => {
    // RTA_VIA: a next hop of the other family (RFC 5549)
    const via = of.get(18);
    const ip = via === undefined ? ipOf(of.get(5), family) : ipOf(via.subarray(2), via[0]);
    if (ip !== undefined && index !== undefined) hops.push({ index, ip, main: table === RT_TABLE_MAIN, metric });
  };
  add(uint32(attributes.get(4)), attributes);
  // RTA_MULTIPATH: struct rtnexthop: length 2, flags, hops, index at 4, then attributes
  const several = attributes.get(9) ?? Buffer.alloc(0);
  for (let at = 0; at + 8 <= several.length; ) {
    const length = several.readUInt16LE(at);
    if (length < 8 || at + length > several.length) break;
    add(several.readUInt32LE(at + 4), attributesOf(several.subarray(at + 8, at + length)));
    at += (length + 3) & ~3;
  }
  return hops;
}

/** The first of each type; NLA_F_NESTED and NLA_F_NET_BYTEORDER are no part of the type. */
function attributesOf(bytes: Buffer): Attributes {
  const attributes = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) break;
    attributes.set(bytes.readUInt16LE(at + 2) & 0x3fff, bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return attributes;
}

function uint32(bytes: Buffer | undefined): number | undefined {
  return bytes?.length === 4 ? bytes.readUInt32LE(0) : undefined;
}

function textOf(bytes: Buffer | undefined): string | undefined {
  return bytes?.toString('utf8').replace(/\0.*$/s, '');
}

function ipOf(bytes: Buffer | undefined, family: number | undefined): Ip | undefined {
  const wanted = family === AF_INET ? 4 : family === AF_INET6 ? 16 : undefined;
  return bytes !== undefined && bytes.length === wanted ? ipFromBytes(bytes) : undefined;
}
