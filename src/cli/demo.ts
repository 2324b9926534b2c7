// `npm run demo`: the product's main job on this machine alone. Starts `standalone` on the example manifests and a router
// beside it, and shows, live, which Service has which address, how the session stands, and what the router's own table
// holds. The router is `fairway listen`, or FRR with `--frr`.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { Command, Option } from 'commander';
import { leaveOnSignal } from '../io/supervise.ts';
import { type Ip, inRange, type Prefix, rangeOfPrefix } from '../net/address.ts';
import type { Standalone } from '../standalone.ts';
import { Child } from './children.ts';
import { type DemoRouter, type HeldRoute, ourselves, startCollector } from './demo-router.ts';
import { painterFor, table } from './terminal.ts';

const LIMIT_MS = 30_000;
const LOOK_MS = 100;
const LEAVE_MS = 12_000;
const LEFT_MS = 2_000;
const NODE = 'demo';

/** It stands on the machines that the tests are made of, which are in a clone alone: so no import that a bundle follows. */
const CLUSTER_DEMO = join(import.meta.dirname, '../../demo/cluster.ts');

interface Flags {
  readonly once?: true;
  readonly cluster?: true;
  readonly frr?: true;
}

type State = ReturnType<Standalone['state']>;

export function demoCommand(): Command {
  return new Command('demo')
    .description('Shows a Service reach a router: no cluster, no root, no router needed. Ctrl-C ends it cleanly.')
    .option('--once', 'end with 0 once everything is announced (--cluster: once it was played), with 1 when it failed')
    .option('--frr', 'use FRR as the router, in a network namespace of its own (needs root and FRR)')
    .addOption(
      new Option('--cluster', 'a whole cluster, whose nodes can be killed (needs root, FRR and a clone)').conflicts(
        'frr',
      ),
    )
    .action((flags: Flags) => (flags.cluster ? runCluster(flags) : run(flags)));
}

async function run(flags: Flags): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'fairway-demo-'));
  const demo = new Demo(scratch);
  const end = async (code: number): Promise<never> => {
    await demo.end();
    rmSync(scratch, { recursive: true, force: true });
    process.exit(code);
  };
  leaveOnSignal(() => end(0), LEAVE_MS);
  try {
    if (flags.frr) {
      const { enterNamespace, startFrr } = await import('./demo-frr.ts');
      const inside = enterNamespace(process.argv.slice(2));
      if (inside !== undefined) {
        demo.inside = inside;
        return end(await inside.code);
      }
      await demo.start((failed) => startFrr(scratch, failed));
    } else await demo.start((failed) => startCollector(failed));
    await demo.show(flags.once === true);
    return end(0);
  } catch (fault) {
    process.stderr.write(`\n${(fault as Error).message}\n`);
    return end(1);
  }
}

async function runCluster(flags: Flags): Promise<void> {
  try {
    if (!import.meta.filename.endsWith('.ts')) throw new Error('--cluster needs a clone of the repository');
    const { ClusterDemo }: ClusterDemoModule = await import(pathToFileURL(CLUSTER_DEMO).href);
    const demo = new ClusterDemo();
    leaveOnSignal(() => demo.end(), LEAVE_MS);
    const code = await demo.run(flags.once === true).finally(() => demo.end());
    process.exit(code);
  } catch (fault) {
    process.stderr.write(`\n${(fault as Error).message}\n`);
    process.exit(1);
  }
}

interface ClusterDemoModule {
  readonly ClusterDemo: new () => { run(once: boolean): Promise<number>; end(): Promise<void> };
}

/** What the speaker's Cease meant to the router. */
async function tellOfLeaving(router: DemoRouter): Promise<void> {
  const limit = performance.now() + LEFT_MS;
  while (router.routes().length > 0 && performance.now() < limit) await sleep(LOOK_MS);
  const left = router.routes().length;
  process.stdout.write(`\nThe speaker has left; the router holds ${left === 0 ? 'none' : left} of its routes.\n`);
}

class Demo {
  readonly #scratch: string;
  #router: DemoRouter | undefined;
  #speaker: Child | undefined;
  #http: string | undefined;
  #failed: string | undefined;
  #ending = false;
  /** Where it runs in a namespace of its own: the process in there. */
  inside: { readonly code: Promise<number>; readonly end: () => void } | undefined;

  constructor(scratch: string) {
    this.#scratch = scratch;
  }

  async start(startRouter: (failed: (why: string) => void) => Promise<DemoRouter>): Promise<void> {
    const failed = (why: string) => {
      this.#failed ??= why;
    };
    this.#router = await startRouter(failed);
    const { manifests } = this.#router;
    const state = join(this.#scratch, 'state.json');
    const flags = ['--manifests', manifests, '--node', NODE, '--state', state, '--http', '127.0.0.1:0'];
    this.#speaker = new Child(
      'standalone',
      [...ourselves(), 'standalone', ...flags],
      (line) => this.#read(line),
      failed,
    );
  }

  /** Draws until everything is announced when `once`, else for ever; throws when something ends or takes too long. */
  async show(once: boolean): Promise<void> {
    const start = performance.now();
    const screen = new Screen();
    let missing: readonly string[] = ['the speaker does not answer yet'];
    while (!this.#ending) {
      if (this.#failed !== undefined) throw new Error(this.#failed);
      const state = await this.#state();
      const routes = this.#router?.routes() ?? [];
      if (state !== undefined) {
        missing = whatIsMissing(state, routes);
        screen.draw(pictureOf(state, this.#router?.name ?? '', routes), missing);
      }
      if (once && missing.length === 0) return;
      if (once && performance.now() - start > LIMIT_MS) throw new Error(`not all is announced: ${missing.join('; ')}`);
      await sleep(LOOK_MS);
    }
  }

  /** The speaker first: its Cease is then seen by a router that still runs. */
  async end(): Promise<void> {
    this.#ending = true;
    this.inside?.end();
    await this.inside?.code;
    await this.#speaker?.end();
    if (this.#speaker !== undefined && this.#router !== undefined) await tellOfLeaving(this.#router);
    await this.#router?.end();
  }

  #read(line: string): void {
    if (this.#http !== undefined || !line.includes('"op":"http"')) return;
    const { address }: { address: string } = JSON.parse(line);
    this.#http = `http://${address}/api/v1/state`;
  }

  async #state(): Promise<State | undefined> {
    if (this.#http === undefined) return undefined;
    try {
      return (await (await fetch(this.#http)).json()) as State;
    } catch {
      return undefined; // it is about to end, which is told by other means
    }
  }
}

/** As much of the speaker's state as the verdict needs. */
export interface Progress {
  readonly services: readonly { readonly service: string; readonly ips: readonly string[]; readonly reason: string }[];
  readonly peers: readonly {
    readonly name: string;
    readonly state: string;
    readonly lastError: { readonly text: string } | null;
  }[];
}

/** What keeps us from saying that all is announced: addresses, sessions, and every address in the router's own table. */
export function whatIsMissing(state: Progress, routes: readonly HeldRoute[]): readonly string[] {
  const held = routes.map(({ prefix }) => rangeOfPrefix(prefix as Prefix));
  const lost = (ip: string) => !held.some((range) => inRange(ip as Ip, range));
  return [
    ...(state.services.length === 0 ? ['no Service was read'] : []),
    ...state.services
      .filter(({ ips }) => ips.length === 0)
      .map(({ service, reason }) => `${service} has no address (${reason})`),
    ...state.peers
      .filter((peer) => peer.state !== 'Established')
      .map(({ name, state: is, lastError }) => `${name} is ${is}${lastError === null ? '' : ` (${lastError.text})`}`),
    ...state.services.flatMap(({ service, ips }) =>
      ips.filter(lost).map((ip) => `the router has no route to ${ip} of ${service}`),
    ),
  ];
}

function pictureOf(state: State, router: string, routes: readonly HeldRoute[]): string {
  const paint = painterFor(process.stdout, process.env);
  const services = state.services.map(({ service, ips, pool, reason }) => [service, ips.join(' '), pool, reason]);
  const peers = state.peers.map(({ name, address, port, state: is, announced = [] }) => [
    ...[name, `${address} port ${port}`],
    { text: is, style: is === 'Established' ? ('green' as const) : ('yellow' as const) },
    String(announced.length),
  ]);
  const held = routes.map(({ prefix, nextHop, asPath, communities }) => [
    prefix,
    nextHop,
    asPath,
    communities.join(' '),
  ]);
  return [
    table(['SERVICE', 'ADDRESSES', 'POOL', 'WHY NOT'], services, paint),
    table(['PEER', 'ADDRESS', 'SESSION', 'TOLD'], peers, paint),
    `${paint('dim', `The table of the router (${router}):`)}\n`,
    table(['PREFIX', 'NEXT HOP', 'AS PATH', 'COMMUNITIES'], held, paint),
  ].join('\n');
}

/** On a terminal the picture is drawn over itself; elsewhere it is printed when it changes. */
class Screen {
  #last = '';

  draw(picture: string, missing: readonly string[]): void {
    const verdict = missing.length === 0 ? 'All is announced.' : `Not yet: ${missing.join('; ')}.`;
    const text = `${picture}\n${verdict}\n`;
    if (text === this.#last) return;
    const { stdout } = process;
    if (this.#last !== '') stdout.write(stdout.isTTY ? `\x1b[${rowsOf(this.#last, stdout.columns)}A\x1b[J` : '\n');
    stdout.write(text);
    this.#last = text;
  }
}

/** Rows that a text takes on a screen, long lines wrapped. */
function rowsOf(text: string, columns: number): number {
  const lines = stripVTControlCharacters(text).split('\n').slice(0, -1);
  return lines.reduce((rows, line) => rows + Math.max(1, Math.ceil(line.length / (columns || 80))), 0);
}
