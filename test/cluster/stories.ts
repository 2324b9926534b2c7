// The hooks of stories on a real cluster, and the reasons for which they are skipped: `useCluster`, and with Fairway in
// it `useFairway`, make it for one file and take it away; `useRouter` starts a router for each story. What the parts are,
// and the words for them, is in cluster, fairway and routing, which the demo uses too.

import { afterAll, afterEach, beforeAll, describe, it } from 'vitest';
import { type Frr, startFrr } from '../interop/frr.ts';
import { node } from '../interop/lab.ts';
import { lacking, type Program } from '../interop/lacking.ts';
import type { Manifest } from '../interop/manifests.ts';
import { OWNER, sweep } from '../interop/namespace.ts';
import type { RouterOptions } from '../interop/router.ts';
import { lackingForCluster } from './binaries.ts';
import { Cluster, fairway } from './cluster.ts';
import { clear, ipPool, untilReady } from './fairway.ts';
import { lateTurns } from './lan.ts';
import { basics, EXCLUDED, nodeObject, PLAIN_NODE, ROUTER_AS, SPEAKER_AS } from './routing.ts';

/** A cluster for all stories of one file. */
export function useCluster(nodes: number, prepare: (cluster: Cluster) => Promise<unknown> = async () => {}): Cluster {
  const cluster = new Cluster(nodes);
  const removeAtExit = (): void => {
    sweep(OWNER);
  };
  beforeAll(async () => {
    sweep();
    process.once('exit', removeAtExit);
    try {
      await cluster.up();
      await prepare(cluster);
      await cluster.untilPodsAreTaken();
    } catch (fault) {
      process.stderr.write(`${cluster.lab.logs()}\n`);
      throw fault;
    }
  });
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') process.stderr.write(`${cluster.lab.logs()}\n`);
  });
  afterAll(async () => {
    await cluster.down();
    process.off('exit', removeAtExit);
  });
  return cluster;
}

export interface FairwayOptions {
  /** False: no DaemonSet, for stories that nobody announces in. */
  readonly speakers?: false;
  /** What a user changes in the manifests before applying them. */
  readonly edit?: (object: Manifest) => Manifest;
  /** More that has to be there before the first story. */
  readonly prepare?: (cluster: Cluster) => Promise<void>;
}

/** A cluster with Fairway in it, ready; after each story, what a user made is removed. */
export function useFairway(
  nodes: number,
  { edit = (object) => object, prepare, speakers }: FairwayOptions = {},
): Cluster {
  const cluster = useCluster(nodes, async (made) => {
    await prepare?.(made);
    const objects = fairway().filter(({ kind }) => speakers !== false || kind !== 'DaemonSet');
    await made.install(objects.map(edit));
    await untilReady(made);
  });
  afterEach(() => clear(cluster));
  return cluster;
}

/**
 * A router, and addresses, of a story's own: a route that another story withdrew a moment ago would be held back for a
 * while before it is announced again.
 */
export class StoryRouter {
  readonly #cluster: Cluster;
  #story = 0;
  #frr: Frr | undefined;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** FRR as a neighbour of both nodes. */
  async start(change: Partial<RouterOptions> = {}): Promise<Frr> {
    const families = ['ipv4', 'ipv6'] as const;
    const peers = [1, 2].map((i) => ({ address: node(i).ipv4, as: SPEAKER_AS, families }));
    this.#frr = await startFrr(this.#cluster.lab, { as: ROUTER_AS, peers, ...change });
    return this.#frr;
  }

  /** The `at`-th address of the pool. */
  address(at: number): string {
    return `198.19.${this.#story}.${at}`;
  }

  /** The pool's first addresses, which the first Service gets. */
  get vip(): string {
    return this.address(0);
  }
  get vip6(): string {
    return `2001:db8:f:${this.#story}::`;
  }
  get route(): string {
    return `${this.vip}/32`;
  }
  get route6(): string {
    return `${this.vip6}/128`;
  }

  get pool(): Manifest {
    return ipPool('main', [`${this.vip}/24`, `${this.vip6}/64`]);
  }

  basics(): Manifest[] {
    return basics(this.vip, this.vip6);
  }

  async end(): Promise<void> {
    await this.#frr?.stop();
    this.#frr = undefined;
    this.#story += 1;
  }
}

/** A router for each story that starts one; nodes are as they were after it. */
export function useRouter(cluster: Cluster): StoryRouter {
  const router = new StoryRouter(cluster);
  afterEach(async () => {
    await router.end();
    const labels = { rack: null, [EXCLUDED]: null };
    for (const name of cluster.nodes) {
      await cluster.api.patch(nodeObject(name), { metadata: { labels } });
      await cluster.api.patchStatus(nodeObject(name), PLAIN_NODE);
    }
  });
  return router;
}

/**
 * A story of layer 2. A speaker that stood still for more than 600 ms promises nothing, and on a machine that is busy with
 * other things that happens: such a story is told again.
 */
export function layer2Story(cluster: Cluster, name: string, tell: () => Promise<void>, limitMs?: number): void {
  const retry = { count: 3, condition: /^a speaker was starved/ };
  it(name, { retry, ...(limitMs !== undefined && { timeout: limitMs }) }, async () => {
    const before = lateTurns(cluster);
    try {
      await tell();
    } catch (fault) {
      // a process that was started meanwhile counts from 0
      const isLate = lateTurns(cluster).some(
        (count, at) => count > (count < (before[at] ?? 0) ? 0 : (before[at] ?? 0)),
      );
      if (!isLate) throw fault;
      throw new Error(`a speaker was starved: ${(fault as Error).message}`, { cause: fault });
    }
  });
}

/** Stories on a real cluster: run, or skipped with the reason in their name. */
export function clusterStories(title: string, programs: readonly Program[], tell: () => void): void {
  const absent = lackingForCluster();
  const reasons = [...lacking(...programs), ...absent, ...(absent.length > 0 ? ['npm run setup brings them'] : [])];
  const name = reasons.length === 0 ? title : `${title} (skipped: ${reasons.join(', ')})`;
  describe.skipIf(reasons.length > 0)(name, tell);
}
