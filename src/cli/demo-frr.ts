// The demo's router as FRR: bgpd alone, in a network namespace that this process makes for itself and that ends with it.
// Both ends are addresses of the namespace's loopback, for FRR takes no next hop of 127/8. Called by demo.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Child } from './children.ts';
import { type DemoRouter, examplesFolder, type HeldRoute, ourselves, peerOf } from './demo-router.ts';

const BGPD = '/usr/lib/frr/bgpd';
/** RFC 5737 and 3849: addresses for examples, within the namespace alone. */
const [ROUTER, SPEAKER, SPEAKER_V6] = ['192.0.2.1', '192.0.2.2', '2001:db8::2'];
const INSIDE = 'FAIRWAY_DEMO_INSIDE';
const LOOK_MS = 300;
const START_MS = 5_000;

const run = promisify(execFile);

/** Runs the demo again in a namespace of its own; undefined when this process is the one in it. */
export function enterNamespace(args: readonly string[]): { code: Promise<number>; end: () => void } | undefined {
  if (process.env[INSIDE] !== undefined) return undefined;
  if (process.getuid?.() !== 0) throw new Error('--frr makes a network namespace: it must be run as root');
  if (!existsSync(BGPD)) throw new Error(`--frr needs FRR, and there is no ${BGPD}: install the package frr`);
  const [file = '', script = ''] = ourselves();
  const env = { ...process.env, [INSIDE]: '1' };
  const child: ChildProcess = spawn('unshare', ['--net', '--', file, script, ...args], { stdio: 'inherit', env });
  const code = new Promise<number>((resolve, reject) => {
    child.on('error', (fault) => reject(new Error(`--frr needs unshare (util-linux): ${fault.message}`)));
    child.on('close', (status) => resolve(status ?? 1));
  });
  return { code, end: () => void child.kill('SIGTERM') };
}

export async function startFrr(scratch: string, failed: (why: string) => void): Promise<DemoRouter> {
  for (const [address, bits] of [
    [SPEAKER, 32],
    [ROUTER, 32],
    [SPEAKER_V6, 128],
  ])
    await run('ip', ['address', 'add', `${address}/${bits}`, 'dev', 'lo']);
  await run('ip', ['link', 'set', 'lo', 'up']);
  const manifests = rewriteExamples(scratch);
  const { peerASN, myASN, peerPort } = peerOf(manifests);
  const config = join(scratch, 'bgpd.conf');
  writeFileSync(config, configuration(peerASN, myASN));
  const flags = ['-Z', '-S', '-n', '-P', '0', '-f', config, '-p', String(peerPort), '-l', String(ROUTER)];
  const own = ['--vty_socket', scratch, '-i', join(scratch, 'bgpd.pid')];
  const child = new Child('bgpd', [BGPD, ...flags, ...own], () => undefined, failed);
  for (let waited = 0; !existsSync(join(scratch, 'bgpd.vty')); waited += LOOK_MS) {
    if (waited > START_MS) throw new Error(`bgpd does not answer:\n  ${child.said.join('\n  ')}`);
    await sleep(LOOK_MS);
  }
  const table = new Table(scratch);
  return {
    name: `FRR's bgpd in a namespace of its own, ${ROUTER}`,
    manifests,
    routes: () => table.routes,
    end: async () => {
      table.end();
      await child.end();
    },
  };
}

/** The examples with the two addresses of the namespace in place of the loopback ones. */
function rewriteExamples(scratch: string): string {
  const [from, to] = [examplesFolder(), join(scratch, 'manifests')];
  mkdirSync(to);
  for (const name of readdirSync(from)) {
    const text = readFileSync(join(from, name), 'utf8');
    const moved = text
      .replace(/^(\s*peerAddress:) .*$/m, `$1 ${ROUTER}`)
      .replace(/^(\s*sourceAddress:) .*$/m, `$1 ${SPEAKER}`);
    writeFileSync(join(to, name), moved);
  }
  return to;
}

function configuration(as: number, speakerAs: number): string {
  const family = (name: string) =>
    ` address-family ${name} unicast\n  neighbor ${SPEAKER} activate\n exit-address-family`;
  return [
    ...['hostname router', 'log stdout', `router bgp ${as}`, ` bgp router-id ${ROUTER}`],
    ...[' no bgp default ipv4-unicast', ' no bgp ebgp-requires-policy'],
    ...[` neighbor ${SPEAKER} remote-as ${speakerAs}`, ` neighbor ${SPEAKER} passive`],
    ...[` neighbor ${SPEAKER} disable-connected-check`, family('ipv4'), family('ipv6'), ''],
  ].join('\n');
}

/** FRR's own table, asked again and again. */
class Table {
  readonly #vty: string;
  #ended = false;
  routes: readonly HeldRoute[] = [];

  constructor(vty: string) {
    this.#vty = vty;
    void this.#follow();
  }

  end(): void {
    this.#ended = true;
  }

  async #follow(): Promise<void> {
    while (!this.#ended) {
      try {
        this.routes = [...(await this.#ask('ipv4')), ...(await this.#ask('ipv6'))];
      } catch {
        this.routes = []; // it is starting, or has ended, which its process tells
      }
      await sleep(LOOK_MS);
    }
  }

  async #ask(family: 'ipv4' | 'ipv6'): Promise<readonly HeldRoute[]> {
    const { routes = {} } = (await this.#vtysh(`show bgp ${family} unicast json`)) as { routes?: object };
    return Promise.all(
      Object.keys(routes).map(async (prefix) => {
        const found = (await this.#vtysh(`show bgp ${family} unicast ${prefix} json`)) as FrrRoute;
        const path = found.paths?.[0];
        const large = path?.largeCommunity?.list?.map((community) => `large:${community}`) ?? [];
        return {
          prefix,
          nextHop: path?.nexthops?.find(({ used }) => used)?.ip ?? path?.nexthops?.[0]?.ip ?? '',
          asPath: path?.aspath?.string ?? '',
          communities: [...(path?.community?.list ?? []), ...large],
        };
      }),
    );
  }

  async #vtysh(command: string): Promise<unknown> {
    const { stdout } = await run('vtysh', ['--vty_socket', this.#vty, '-d', 'bgpd', '-c', command]);
    return JSON.parse(stdout);
  }
}

interface FrrRoute {
  readonly paths?: readonly {
    readonly aspath?: { readonly string: string };
    readonly nexthops?: readonly { readonly ip: string; readonly used?: boolean }[];
    readonly community?: { readonly list?: readonly string[] };
    readonly largeCommunity?: { readonly list?: readonly string[] };
  }[];
}
