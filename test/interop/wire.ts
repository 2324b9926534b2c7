// What was really on the wire: tcpdump in a namespace writes it down, tcpdump reads it back as text. Stories look at the
// text, so that the decoder is never our own.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Lab, Place } from './lab.ts';
import { type Daemon, until } from './process.ts';

export interface Packet {
  /** Seconds since the epoch. */
  readonly at: number;
  /** Where it came from, as `address.port`. */
  readonly from: string;
  readonly to: string;
  /** TTL or hop limit as it arrived. */
  readonly ttl: number;
  /** All that tcpdump -v says of it, lines joined. */
  readonly text: string;
}

export class Capture {
  readonly #file: string;
  readonly #daemon: Daemon;

  constructor(file: string, daemon: Daemon) {
    this.#file = file;
    this.#daemon = daemon;
  }

  /** Everything until now; it goes on capturing. */
  packets(): Packet[] {
    const text = execFileSync('/usr/bin/tcpdump', ['-r', this.#file, '-n', '-tt', '-vv'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 1 << 28,
    });
    // a packet begins with its time at the left margin, its other lines are indented
    return text
      .split(/\n(?=\d+\.\d+ IP6? )/)
      .filter((lines) => lines !== '')
      .map((lines) => {
        const [, from = '', to = ''] = /(?:^|\s)([0-9a-f.:]+\.\d+) > ([0-9a-f.:]+\.\d+): /.exec(lines) ?? [];
        return {
          at: Number(/^\d+\.\d+/.exec(lines)?.[0]),
          from,
          to,
          ttl: Number(/(?:ttl|hlim) (\d+)/.exec(lines)?.[1]),
          text: lines.replaceAll(/\s*\n\s*/g, ' '),
        };
      });
  }

  async stop(): Promise<Packet[]> {
    await this.#daemon.stop('SIGINT');
    return this.packets();
  }
}

/** Captures BGP, or what `filter` says, on a link of a place until it is stopped. */
export async function capture(lab: Lab, place: Place, link = 'eth0', filter = 'tcp port 179'): Promise<Capture> {
  const file = join(lab.makeFolder(`capture-${place}-${link}`), 'wire.pcap');
  const daemon = lab.spawn(`tcpdump-${place}`, place, [
    ...['/usr/bin/tcpdump', '-i', link, '-U', '--immediate-mode', '-Z', 'root', '-w', file],
    filter,
  ]);
  await until('tcpdump listens', () => daemon.log().includes('listening on'));
  return new Capture(file, daemon);
}
