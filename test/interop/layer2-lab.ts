// A LAN for layer-2 stories and benches: nodes with speakers, two switches with a trunk between them, and a client at each
// of these. Which node answers for which address is sampled at the clients; what a story breaks is broken here.
//   switch one: the client `r` (198.51.100.1), nodes n1 and n4        switch two: nodes n2, n3, and n5, who is a client
// n1, n2 and n3 are candidates for the addresses of a story, in this order. n4 answers for CONTROL, and nothing ever happens
// to it: what is not answered there was the machine's fault, on which others want the processors too.

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { PacketThread } from '../../src/io/packet-thread.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import { entryIn } from '../io/packet-probe.ts';
import { type Lab, node, type Place, ROUTER } from './lab.ts';
import type { NodeSetup } from './layer2-node.ts';
import type { SamplerReport, SamplerWanted, Samples } from './layer2-sampler.ts';
import { type Daemon, until } from './process.ts';

export const VIP4 = '198.51.100.100' as Ip;
export const VIP6 = '2001:db8:1::100' as Ip;
export const CONTROL = '198.51.100.104' as Ip;
export type NodeName = 'n1' | 'n2' | 'n3' | 'n4';
export const NODES: readonly NodeName[] = ['n1', 'n2', 'n3'];
const ALL: readonly NodeName[] = [...NODES, 'n4'];
const PROGRAM = join(import.meta.dirname, 'layer2-node.ts');
const SAMPLER = pathToFileURL(join(import.meta.dirname, 'layer2-sampler.ts')).href;
export const EVERY_MS = 20;

/** What a client saw of one address. */
export interface Seen {
  /** The longest time in which no question was answered, in ms. */
  readonly longestMs: number;
  /** In seconds: nobody answered, more than one did. */
  readonly none: number;
  readonly two: number;
  /** From the first answer of another node than the one before, in the order of their coming. */
  readonly owners: readonly string[];
  /** When more than one answered last, in ms after the fault; -Infinity: never. */
  readonly lastTwoMs: number;
}

export class Layer2Lab {
  readonly #lab: Lab;
  readonly #daemons = new Map<NodeName, Daemon>();
  readonly #setup: Omit<NodeSetup, 'node'>;
  readonly #samplers: Sampler[] = [];
  readonly #program: readonly string[];
  readonly macs = new Map<string, string>();

  /** `vips`: with their candidates in order. `program`: what runs as a speaker. */
  constructor(lab: Lab, vips: NodeSetup['vips'], failbackMs = 120_000, program: readonly string[] = [PROGRAM]) {
    this.#lab = lab;
    this.#program = program;
    this.#setup = {
      nodes: Object.fromEntries(ALL.map((name) => [name, node(Number(name.slice(1))).ipv4])),
      controls: ['198.51.100.126', '198.51.100.125', '2001:db8:1::fffe', '2001:db8:1::fffd'],
      vips: { ...vips, [CONTROL]: ['n4'] },
      failbackMs,
    };
  }

  /** Two switches of the one that the lab has, once. */
  static wire(lab: Lab): void {
    lab.ip('sw', ...['link add trunk1 type veth peer name trunk2', 'link add br1 type bridge mcast_snooping 0']);
    lab.ip('sw', ...['br1', 'trunk1', 'trunk2'].map((name) => `link set ${name} up`));
    lab.ip(
      'sw',
      ...['link set trunk1 master br0', ...['trunk2', 'n2', 'n3', 'n5'].map((name) => `link set ${name} master br1`)],
    );
  }

  /** As a kubelet starts a pod that asks for its share of the processors. */
  start(...names: readonly NodeName[]): void {
    for (const name of ALL) this.macs.set(macOf(this.#lab, name), name);
    for (const name of names) {
      const command = [
        'nice',
        '-n',
        '-10',
        process.execPath,
        ...this.#program,
        JSON.stringify({ ...this.#setup, node: name }),
      ];
      this.#daemons.set(name, this.#lab.spawn(`layer2-${name}`, name, command));
    }
  }

  daemon(name: NodeName): Daemon {
    const daemon = this.#daemons.get(name);
    if (daemon === undefined) throw new Error(`${name} was not started`);
    return daemon;
  }

  /** Waits until it has heard so many others since it was started. */
  async hears(name: NodeName, others: number): Promise<void> {
    const count = () =>
      this.daemon(name)
        .log()
        .match(/"heard":true/g)?.length ?? 0;
    await until(`${name} hears ${others}`, () => count() >= others, 30_000);
  }

  /** Asks every 20 ms, if nothing else is said, at a place until `stop`; of many addresses some at a time. */
  async sampler(place: Place, vips: readonly Ip[], perRound = vips.length, everyMs = EVERY_MS): Promise<Sampler> {
    const { ipv4, ipv6 } = place === 'r' ? ROUTER : node(Number(place.slice(1)));
    const sampler = new Sampler(this.#lab.namespace(place), this.macs);
    this.#samplers.push(sampler);
    await sampler.begin({
      ...{ link: 'eth0', mac: macOf(this.#lab, place) as Mac, vips, everyMs, perRound },
      from: { ipv4: ipv4 as Ip, ipv6: ipv6 as Ip },
    });
    return sampler;
  }

  /** Everybody runs and agrees upon n1; the client of switch one asks for these addresses, and for CONTROL. */
  async settle(vips: readonly Ip[]): Promise<Sampler> {
    this.start('n4', 'n1');
    const client = await this.sampler('r', [...vips, CONTROL]);
    for (const vip of vips) await client.settled(vip, 'n1');
    await client.settled(CONTROL, 'n4');
    this.start('n2', 'n3');
    for (const name of ['n2', 'n3'] as const) await this.hears(name, 3);
    await sleep(1_500);
    for (const vip of vips) await client.settled(vip, 'n1');
    return client;
  }

  /** A speaker stands still for so long; the instant at which it goes on, of performance.now(). */
  async pause(name: NodeName, ms: number): Promise<number> {
    this.daemon(name).signal('SIGSTOP');
    await sleep(ms);
    const goesOn = performance.now();
    this.daemon(name).signal('SIGCONT');
    return goesOn;
  }

  /** The cable comes loose five times in 2.8 s. */
  async flap(port: NodeName): Promise<void> {
    for (let flap = 0; flap < 5; flap++) {
      this.carrier(port, 'down');
      await sleep(150);
      this.carrier(port, 'up');
      await sleep(400);
    }
  }

  /** One candidate after the other leaves and is started again; a rollout waits until the new one is ready. */
  async rollOut(): Promise<void> {
    for (const name of NODES) {
      const code = await this.daemon(name).stop('SIGTERM');
      if (code !== 0) throw new Error(`${name} ended with ${code}`);
      this.start(name);
      await this.hears(name, 3);
      await sleep(1_500);
    }
  }

  /** No frame passes this port of a switch; the carrier stays. */
  cut(port: NodeName | 'trunk1'): void {
    this.#lab.run('sw', ['bridge', 'link', 'set', 'dev', port, 'state', '0']);
  }

  join(port: NodeName | 'trunk1'): void {
    this.#lab.run('sw', ['bridge', 'link', 'set', 'dev', port, 'state', '3']);
  }

  /** The cable is pulled out, and plugged in again. */
  carrier(port: NodeName, is: 'up' | 'down'): void {
    this.#lab.ip('sw', `link set ${port} ${is}`);
  }

  async stop(): Promise<void> {
    for (const sampler of this.#samplers.splice(0)) await sampler.end();
    await Promise.all([...this.#daemons.values()].map((daemon) => daemon.stop('SIGKILL')));
    this.#daemons.clear();
    for (const port of [...ALL, 'trunk1'] as const) this.join(port);
    for (const port of ALL) this.carrier(port, 'up');
  }
}

export class Sampler {
  readonly #thread: PacketThread<SamplerWanted, SamplerReport, Samples>;
  readonly #macs: ReadonlyMap<string, string>;
  #wanted: SamplerWanted | undefined;
  #isReady = false;

  constructor(namespace: string, macs: ReadonlyMap<string, string>) {
    this.#macs = macs;
    this.#thread = new PacketThread(entryIn(namespace, SAMPLER, 'sample'), ({ report }) => {
      this.#isReady ||= report === 'ready';
    });
  }

  async begin(wanted: SamplerWanted): Promise<void> {
    this.#wanted = wanted;
    this.#thread.want(wanted);
    await until('the sampler asks', () => this.#isReady);
  }

  /** Forgets what was sampled before. */
  again(): void {
    if (this.#wanted !== undefined) this.#thread.want(this.#wanted);
  }

  samples(): Promise<Samples> {
    return this.#thread.view();
  }

  /** Since `from`, an instant of performance.now(). */
  async seen(ip: Ip, from: number): Promise<Seen> {
    const { asked, answered } = await this.samples();
    return judge(
      (asked.get(ip) ?? []).filter((at) => at >= from),
      answered.get(ip) ?? [],
      this.#macs,
      from,
    );
  }

  /** Waits until `owner` has answered for the address, and nobody else, for so long. */
  async settled(ip: Ip, owner: string | undefined, forMs = 400, limitMs = 12_000): Promise<string> {
    return until(
      `${owner ?? 'one node'} answers for ${ip}`,
      async () => {
        const { answered } = await this.samples();
        const now = performance.now();
        const recent = (answered.get(ip) ?? []).filter(([at]) => at > now - forMs);
        const owners = new Set(recent.map(([, mac]) => this.#macs.get(mac) ?? mac));
        const [only] = owners;
        if (owners.size !== 1 || recent.length < (forMs / EVERY_MS) * 0.7 || only === undefined) return false;
        return (owner === undefined || only === owner) && only;
      },
      limitMs,
    );
  }

  async end(): Promise<void> {
    await this.#thread.end();
  }
}

/** Questions are answered within their turn; what comes later counts for the next, which changes no sum. */
export function judge(
  asked: readonly number[],
  answered: Samples['answered'] extends ReadonlyMap<Ip, infer Answers> ? Answers : never,
  macs: ReadonlyMap<string, string>,
  from: number,
): Seen {
  let [none, two, longestMs, lastTwoMs] = [0, 0, 0, Number.NEGATIVE_INFINITY];
  let lastAnswerAt = from;
  const owners: string[] = [];
  let at = 0;
  // the last question may still be answered
  for (let i = 0; i + 1 < asked.length; i++) {
    const [begin, end] = [asked[i] ?? 0, asked[i + 1] ?? 0];
    const names = new Set<string>();
    for (; at < answered.length && (answered[at]?.[0] ?? 0) < end; at++) {
      const [instant, mac] = answered[at] ?? [0, ''];
      if (instant < begin) continue;
      const name = macs.get(mac) ?? mac;
      names.add(name);
      if (owners.at(-1) !== name) owners.push(name);
    }
    if (names.size > 0) lastAnswerAt = begin;
    longestMs = Math.max(longestMs, names.size === 0 ? end - lastAnswerAt : 0);
    if (names.size === 0) none += (end - begin) / 1_000;
    if (names.size > 1) [two, lastTwoMs] = [two + (end - begin) / 1_000, end - from];
  }
  return { longestMs, none, two, owners, lastTwoMs };
}

function macOf(lab: Lab, place: Place): string {
  return /link\/ether (\S+)/.exec(lab.run(place, ['ip', 'link', 'show', 'eth0']))?.[1] ?? '';
}
