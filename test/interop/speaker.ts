// Our own speaker as a user runs it: `fairway standalone` on a folder of manifests, in the namespace of a node. What it
// says of itself is read over HTTP; what is true is asked of the routers.

import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import type { Lab, Place } from './lab.ts';
import type { Manifest } from './manifests.ts';
import { type Daemon, until } from './process.ts';

const COMMAND = join(import.meta.dirname, '../../bin/fairway');
const RELAY = join(import.meta.dirname, 'inside.ts');
const HTTP_PORT = 7472;
/** As the image runs Node: what is promised of memory is promised of this. */
export const IMAGE_FLAGS = ['--max-semi-space-size=2', '--optimize-for-size'];
export const IMAGE_ENV = { MALLOC_ARENA_MAX: '1' };

/** What stories read of `peers[].bfd`. */
export interface BfdState {
  readonly state: string;
  readonly since: string | null;
  readonly diagnostic: string;
  readonly hops: string | null;
  readonly waiting: string;
  readonly heldUntil: string | null;
  readonly authentication: string | null;
  readonly bgp: { readonly strict: boolean; readonly waitsForBfd: boolean };
  readonly transmitIntervalMs: number | null;
  readonly detectionTimeMs: number | null;
  readonly echoIntervalMs: number | null;
  readonly remote: { readonly state: string; readonly detectMult: number; readonly desiredMinTxMs: number } | null;
  readonly counters: {
    readonly sent: number;
    readonly received: number;
    readonly echoesSent: number;
    readonly echoesReceived: number;
    readonly upEvents: number;
    readonly downEvents: number;
    readonly drops: Readonly<Record<string, number>>;
  } | null;
}

/** What stories read of a peer in `GET /api/v1/state`. */
export interface PeerState {
  readonly name: string;
  readonly address: string;
  /** Of a peer that is named by it. */
  readonly interface?: string;
  readonly state: string;
  readonly since: string;
  readonly holdTimeMs: number;
  readonly families: readonly string[];
  readonly warnings: readonly string[];
  readonly lastError: { readonly code: string; readonly text: string } | null;
  readonly bfd: BfdState | null;
  readonly announced: readonly { readonly prefix: string; readonly nextHop: string }[];
  readonly counters: {
    readonly sent: Readonly<Record<string, number>>;
    readonly received: Readonly<Record<string, number>>;
    readonly learned: Readonly<Record<string, number>>;
  };
}

export interface SpeakerState {
  readonly process: { readonly node: string; readonly ready: boolean };
  readonly services: readonly { readonly service: string; readonly ips: readonly string[]; readonly reason: string }[];
  readonly peers: readonly PeerState[];
}

export class Speaker {
  readonly #lab: Lab;
  readonly #place: Place;
  readonly #arguments: readonly string[];
  readonly #folder: string;
  readonly #socket: string;
  #daemon: Daemon | undefined;

  constructor(lab: Lab, place: Place, objects: readonly Manifest[], args: readonly string[]) {
    this.#lab = lab;
    this.#place = place;
    this.#arguments = args;
    this.#folder = lab.makeFolder(`manifests-${place}`);
    this.#socket = `${this.#folder}.http`;
    this.apply(...objects);
    lab.spawn(`relay-${place}`, place, [process.execPath, RELAY, 'relay', this.#socket, '127.0.0.1', `${HTTP_PORT}`]);
  }

  get daemon(): Daemon {
    if (this.#daemon === undefined) throw new Error('the speaker was not started');
    return this.#daemon;
  }

  /** Starts it from the clone's command, or from another entry point such as the bundle. */
  start(program = COMMAND, nodeFlags: readonly string[] = []): void {
    this.#daemon = this.#lab.spawn(`fairway-${this.#place}`, this.#place, [
      ...[process.execPath, ...nodeFlags, program, 'standalone', '--manifests', this.#folder, '--node', this.#place],
      ...['--http', `127.0.0.1:${HTTP_PORT}`, ...this.#arguments],
    ]);
  }

  /** Writes each object to its own file, as editors do: beside it, then renamed over it. */
  apply(...objects: readonly Manifest[]): void {
    for (const object of objects) {
      const file = this.#fileOf(object);
      writeFileSync(`${file}.new`, JSON.stringify(object, undefined, 1));
      renameSync(`${file}.new`, file);
    }
  }

  remove(...objects: readonly Manifest[]): void {
    for (const object of objects) rmSync(this.#fileOf(object));
  }

  get(path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: this.#socket, path, timeout: 5_000 }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', reject);
        response.on('end', () => resolve(text));
      });
      asked.on('error', reject);
      asked.on('timeout', () => asked.destroy(new Error(`${path}: no answer`)));
      asked.end();
    });
  }

  async state(): Promise<SpeakerState> {
    return JSON.parse(await this.get('/api/v1/state'));
  }

  async peer(name: string): Promise<PeerState> {
    const peer = (await this.state()).peers.find((each) => each.name === name);
    if (peer === undefined) throw new Error(`no peer ${name}`);
    return peer;
  }

  async bfd(name: string): Promise<BfdState> {
    const { bfd } = await this.peer(name);
    if (bfd === null) throw new Error(`${name} has no BFD`);
    return bfd;
  }

  async untilBfd(name: string, state = 'Up', limitMs?: number): Promise<BfdState> {
    const isThere = async (): Promise<BfdState | false> => {
      const bfd = await this.bfd(name);
      return bfd.state === state && bfd;
    };
    return until(`BFD of ${name} is ${state}`, isThere, limitMs);
  }

  async untilEstablished(name: string, limitMs?: number): Promise<PeerState> {
    const isUp = async (): Promise<PeerState | false> => {
      const peer = await this.peer(name);
      return peer.state === 'Established' && peer;
    };
    return until(`the speaker is Established with ${name}`, isUp, limitMs);
  }

  #fileOf(object: Manifest): string {
    return join(this.#folder, `${object.kind}-${object.metadata.name}.json`.toLowerCase());
  }
}

/** A speaker on these manifests, already started. */
export function startSpeaker(
  lab: Lab,
  place: Place,
  objects: readonly Manifest[],
  args: readonly string[] = [],
): Speaker {
  const speaker = new Speaker(lab, place, objects, args);
  speaker.start();
  return speaker;
}
