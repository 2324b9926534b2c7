// The few system calls that Node has no words for: sockets whose options are set before connect, listen or bind, and the
// words for a call that failed. Called by io/tcp and, with calls of its own, by io/packet. koffi is given integers and
// flat Buffers, never a pointer that outlives the call, and errno is read before anything else happens. Constants are
// Linux's, the same on x64 and arm64 (include/uapi/asm-generic/socket.h, linux/in.h, in6.h, tcp.h, if_packet.h).

import { constants } from 'node:os';
import { getSystemErrorMessage } from 'node:util';
import koffi from 'koffi';
import { familyOf, type Ip, ipToBytes } from '../net/address.ts';
import type { SocketAddress, SystemError } from '../net/io.ts';
import type { Secret } from '../net/secret.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const IPPROTO_IP = 0;
const IPPROTO_TCP = 6;
const IPPROTO_IPV6 = 41;
const IPPROTO_ICMPV6 = 58;
/** struct tcp_md5sig: sockaddr_storage 128, flags 1, prefix length 1, key length 2, interface 4, key 80. */
const TCP_MD5SIG_SIZE = 216;
const MD5_KEY_MOST = 80;

type Value = number | Uint8Array;

/** Options by the names of their manual pages; each row is [level, number] for IPv4 and for IPv6. */
const OPTIONS = {
  SO_REUSEADDR: { ipv4: [SOL_SOCKET, 2], ipv6: [SOL_SOCKET, 2] },
  SO_BROADCAST: { ipv4: [SOL_SOCKET, 6], ipv6: undefined },
  SO_RCVBUF: { ipv4: [SOL_SOCKET, 8], ipv6: [SOL_SOCKET, 8] },
  SO_BINDTODEVICE: { ipv4: [SOL_SOCKET, 25], ipv6: [SOL_SOCKET, 25] },
  SO_ATTACH_FILTER: { ipv4: [SOL_SOCKET, 26], ipv6: [SOL_SOCKET, 26] },
  SO_RCVBUFFORCE: { ipv4: [SOL_SOCKET, 33], ipv6: [SOL_SOCKET, 33] },
  IPV6_V6ONLY: { ipv4: undefined, ipv6: [IPPROTO_IPV6, 26] },
  TCP_NODELAY: { ipv4: [IPPROTO_TCP, 1], ipv6: [IPPROTO_TCP, 1] },
  TCP_MD5SIG: { ipv4: [IPPROTO_TCP, 14], ipv6: [IPPROTO_TCP, 14] },
  TTL: { ipv4: [IPPROTO_IP, 2], ipv6: [IPPROTO_IPV6, 16] },
  MINTTL: { ipv4: [IPPROTO_IP, 21], ipv6: [IPPROTO_IPV6, 73] },
  RECVTTL: { ipv4: [IPPROTO_IP, 12], ipv6: [IPPROTO_IPV6, 51] },
  PKTINFO: { ipv4: [IPPROTO_IP, 8], ipv6: [IPPROTO_IPV6, 49] },
  IPV6_MULTICAST_LOOP: { ipv4: undefined, ipv6: [IPPROTO_IPV6, 19] },
  IPV6_JOIN_GROUP: { ipv4: undefined, ipv6: [IPPROTO_IPV6, 20] },
  IPV6_LEAVE_GROUP: { ipv4: undefined, ipv6: [IPPROTO_IPV6, 21] },
  ICMP6_FILTER: { ipv4: undefined, ipv6: [IPPROTO_ICMPV6, 1] },
} as const;

export type OptionName = keyof typeof OPTIONS;

/** What a refusal usually means: [call or option, errno, words]. */
const HINTS: readonly (readonly [call: string, code: string, hint: string])[] = [
  ['bind', 'EACCES', 'a port below 1024 needs CAP_NET_BIND_SERVICE'],
  ['bind', 'EADDRINUSE', 'another process has this address and port'],
  ['listen', 'EADDRINUSE', 'another process listens on this address and port'],
  ['bind', 'EADDRNOTAVAIL', 'no interface of this node has this address'],
  ['TCP_MD5SIG', 'ENOPROTOOPT', 'this kernel was built without TCP MD5 (CONFIG_TCP_MD5SIG)'],
  ['TCP_MD5SIG', 'EPERM', 'the kernel forbids MD5 keys here (FIPS mode or missing CAP_NET_ADMIN)'],
  ['SO_BINDTODEVICE', 'ENODEV', 'no such device on this node'],
  ['SO_BINDTODEVICE', 'EPERM', 'binding to a device needs CAP_NET_RAW'],
  ['MINTTL', 'ENOPROTOOPT', 'this kernel cannot check a minimum TTL'],
  ['socket(AF_PACKET)', 'EPERM', 'ARP and Neighbor Discovery need CAP_NET_RAW; BGP and BFD go on without'],
  ['socket(ICMPv6)', 'EPERM', 'Router Advertisements need CAP_NET_RAW: peers by interface are not found without'],
  ['socket(AF_NETLINK)', 'EAFNOSUPPORT', 'a sandbox forbids netlink: interfaces cannot be watched'],
  ['IPV6_JOIN_GROUP', 'ENODEV', 'IPv6 is switched off on this interface'],
  ['sendmsg', 'EPERM', 'a firewall rule of this node drops it'],
];

/** The C library of this process, glibc or musl. */
export const libc = koffi.load(null);
const call = {
  socket: libc.func('int socket(int, int, int)'),
  setsockopt: libc.func('int setsockopt(int, int, int, void *, uint32_t)'),
  bind: libc.func('int bind(int, void *, uint32_t)'),
  connect: libc.func('int connect(int, void *, uint32_t)'),
  close: libc.func('int close(int)'),
};

const codes = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** A system call that failed, as something to throw within io; `error` is what leaves it. */
export class SystemCallError extends Error {
  readonly error: SystemError;

  constructor(error: SystemError) {
    super(`${error.call}: ${error.text}`);
    this.error = error;
  }
}

/** The words for a failed call: errno's name, the kernel's sentence, what it means here and what it was about. */
export function systemError(name: string, code: string, errno: number, about = ''): SystemError {
  const sentence = errno === 0 ? code : getSystemErrorMessage(-errno);
  const hint = HINTS.find(([of, when]) => of === name && when === code)?.[2];
  return { code, call: name, text: [about && `${about}: `, sentence, hint && ` (${hint})`].filter(Boolean).join('') };
}

/** The same by errno's number alone. */
export function errorOf(name: string, errno: number, about = ''): SystemError {
  return systemError(name, codes.get(errno) ?? `E${errno}`, errno, about);
}

/** For the call that has just returned an error: nothing may come between. */
export function failed(name: string, about = '', errno = koffi.errno()): SystemCallError {
  return new SystemCallError(errorOf(name, errno, about));
}

const KINDS = { tcp: SOCK_STREAM, udp: SOCK_DGRAM, icmp: SOCK_RAW } as const;

/** A new socket of the family, non-blocking, closed on exec; `icmp`: a raw one of ICMPv6. The caller owns the descriptor. */
export function openSocket(family: 'ipv4' | 'ipv6', kind: keyof typeof KINDS = 'tcp'): number {
  const type = KINDS[kind] | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = call.socket(family === 'ipv4' ? AF_INET : AF_INET6, type, kind === 'icmp' ? IPPROTO_ICMPV6 : 0);
  if (fd < 0) throw failed(kind === 'icmp' ? 'socket(ICMPv6)' : 'socket');
  return fd;
}

/** Sets one option; does nothing where the family does not have it. Throws SystemCallError. */
export function setOption(fd: number, family: 'ipv4' | 'ipv6', name: OptionName, value: Value, about = ''): void {
  const row = OPTIONS[name][family];
  if (row === undefined) return;
  const bytes = typeof value === 'number' ? int32(value) : Buffer.from(value);
  if (call.setsockopt(fd, row[0], row[1], bytes, bytes.length) < 0) throw failed(name, about);
}

/** The key that segments to and from `remote` are signed with (RFC 2385); undefined takes it away again. */
export function setMd5Key(fd: number, family: 'ipv4' | 'ipv6', remote: Ip, secret: Secret | undefined): void {
  const key = Buffer.from(secret?.reveal() ?? '', 'utf8');
  if (key.length > MD5_KEY_MOST)
    throw new SystemCallError({
      code: 'EINVAL',
      call: 'TCP_MD5SIG',
      text: `the password has ${key.length} octets, the kernel takes at most ${MD5_KEY_MOST}`,
    });
  const bytes = Buffer.alloc(TCP_MD5SIG_SIZE);
  socketAddress({ address: remote, port: 0 }).copy(bytes, 0);
  writeUint16(bytes, key.length, 130);
  key.copy(bytes, 136);
  setOption(fd, family, 'TCP_MD5SIG', bytes, remote);
}

/** `scope`: index of the link that a link-local address belongs to. */
export function bindSocket(fd: number, to: SocketAddress, scope = 0): void {
  const bytes = socketAddress(to, scope);
  if (call.bind(fd, bytes, bytes.length) < 0) throw failed('bind', addressText(to));
}

/** Starts to connect; how it ends is seen by whoever polls the socket. */
export function connectSocket(fd: number, to: SocketAddress): void {
  const bytes = socketAddress(to);
  if (call.connect(fd, bytes, bytes.length) >= 0) return;
  const errno = koffi.errno();
  if (errno !== constants.errno.EINPROGRESS) throw failed('connect', addressText(to), errno);
}

/** For a descriptor that nobody adopted. */
export function closeSocket(fd: number): void {
  call.close(fd);
}

export function addressText({ address, port }: SocketAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** struct sockaddr_in or sockaddr_in6; `scope` as of `bindSocket`. */
export function socketAddress({ address, port }: SocketAddress, scope = 0): Buffer {
  const v4 = familyOf(address) === 'ipv4';
  const bytes = Buffer.alloc(v4 ? 16 : 28);
  writeUint16(bytes, v4 ? AF_INET : AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(ipToBytes(address), v4 ? 4 : 8);
  if (!v4) bytes.set(int32(scope), 24);
  return bytes;
}

/** Integers of structures are in the machine's own order. */
function int32(value: number): Buffer {
  return Buffer.from(new Int32Array([value]).buffer);
}

/** For each datagram that is sent: in the order of x64 and arm64. */
function writeUint16(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt16LE(value, at);
}
