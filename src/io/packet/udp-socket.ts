// One UDP socket of the packet thread as its machine asked for it: opened with what BFD and the speakers' statements need
// (RFC 5881 §4 and §5: ports, TTL), drained, written to. Owned by packet/sockets. Failures are thrown as SystemCallError.

import type { Ip } from '../../net/address.ts';
import type { UdpOptions } from '../../net/packet-io.ts';
import { deviceName } from '../listen-socket.ts';
import { bindSocket, closeSocket, openSocket, SystemCallError, setOption } from '../syscall.ts';
import type { Datagrams, Received } from './datagram.ts';
import { attachFilter, NOTHING, speakersAlone } from './filter.ts';
import { growReceiveBuffer } from './kernel.ts';

/** RFC 5881 §4. */
const [FIRST_PORT, LAST_PORT] = [49_152, 65_535];
const TRIES = 64;
/** More than a receive buffer holds (2 MiB, and 768 octets for the shortest one): after a pause all that came in it is read before a timer is believed. */
const MOST_IN_A_TURN = 4_096;

export class UdpSocket {
  readonly options: UdpOptions;
  readonly fd: number;
  /** Index of the link it is bound to. */
  readonly index: number | undefined;
  #isOpen = true;

  /** `index`: of `options.device`. `isShared`: another socket of this thread has the port, on other links. */
  constructor(options: UdpOptions, index: number | undefined, isShared: (port: number) => boolean) {
    this.options = options;
    this.index = index;
    const { family, device } = options;
    this.fd = openSocket(family, 'udp');
    try {
      setOption(this.fd, family, 'IPV6_V6ONLY', 1);
      setOption(this.fd, family, 'RECVTTL', 1);
      setOption(this.fd, family, 'PKTINFO', 1);
      setOption(this.fd, family, 'SO_BROADCAST', 1);
      if (device !== undefined) setOption(this.fd, family, 'SO_BINDTODEVICE', deviceName(device), device);
      if (options.port === 'dynamic') {
        attachFilter(this.fd, NOTHING);
        this.#bindAnywhere();
      } else {
        if (options.only === 'speakers') attachFilter(this.fd, speakersAlone(family));
        growReceiveBuffer(this.fd);
        // exclusive against other processes: only sockets of our own may share a port
        if (isShared(options.port)) this.share();
        bindSocket(this.fd, { address: this.#local(), port: options.port }, index);
      }
    } catch (fault) {
      closeSocket(this.fd);
      throw fault;
    }
  }

  /** Answers come to well-known ports (RFC 5881 §4): from a `dynamic` one is only sent. */
  get isRead(): boolean {
    return this.options.port !== 'dynamic';
  }

  /** Another socket of ours may have this port too, on other links. */
  share(): void {
    setOption(this.fd, this.options.family, 'SO_REUSEADDR', 1);
  }

  /** All that waits, within bounds; what comes of it may close the socket. */
  drain(datagrams: Datagrams, name: string, take: (received: Received) => void): void {
    for (let count = 0; count < MOST_IN_A_TURN && this.#isOpen; ) {
      const received = datagrams.receive(this.fd, name);
      if (received.length === 0) return;
      count += received.length;
      for (const each of received) if (this.#isOpen) take(each);
    }
  }

  close(): void {
    this.#isOpen = false;
    closeSocket(this.fd);
  }

  #local(): Ip {
    return this.options.local ?? ((this.options.family === 'ipv4' ? '0.0.0.0' : '::') as Ip);
  }

  /** A port by chance, as two sessions should not have the same. */
  #bindAnywhere(): void {
    for (let tries = 1; ; tries++) {
      const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT + 1));
      try {
        bindSocket(this.fd, { address: this.#local(), port }, this.index);
        return;
      } catch (fault) {
        if (!(fault instanceof SystemCallError) || fault.error.code !== 'EADDRINUSE' || tries === TRIES) throw fault;
      }
    }
  }
}
