// The routers that the demo can show, what they are asked, and the examples that lead to them. The one here is our own
// collector as a process of its own; FRR is in demo-frr. Called by demo.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readResource } from '../config/read.ts';
import type { BGPPeerResource } from '../config/resource.ts';
import { readManifest } from '../k8s/manifest.ts';
import { Child } from './children.ts';

/** A route as the router holds it. */
export interface HeldRoute {
  readonly prefix: string;
  readonly nextHop: string;
  readonly asPath: string;
  readonly communities: readonly string[];
}

/** The router of the demo, whichever it is. */
export interface DemoRouter {
  readonly name: string;
  /** The folder of manifests that leads to it. */
  readonly manifests: string;
  routes(): readonly HeldRoute[];
  end(): Promise<void>;
}

/** This program, to be started again: the source in a clone, the bundle elsewhere. */
export function ourselves(): readonly string[] {
  return [process.execPath, process.argv[1] ?? ''];
}

export function examplesFolder(): string {
  for (const up of ['../..', '..']) {
    const folder = join(import.meta.dirname, up, 'manifests/examples');
    try {
      readdirSync(folder);
      return folder;
    } catch {}
  }
  throw new Error('the folder manifests/examples is not beside the program');
}

/** Our own collector as a process, on the address that the examples name. */
export async function startCollector(failed: (why: string) => void): Promise<DemoRouter> {
  const manifests = examplesFolder();
  const peer = peerOf(manifests);
  let held: readonly HeldRoute[] = [];
  const address = `${peer.peerAddress.includes(':') ? `[${peer.peerAddress}]` : peer.peerAddress}:${peer.peerPort}`;
  const flags = ['--bgp', address, '--as', String(peer.peerASN), '--peer-as', String(peer.myASN), '-o', 'json'];
  const read = (line: string) => {
    const { peers }: { peers: { routes: HeldRoute[] }[] } = JSON.parse(line);
    held = peers.flatMap(({ routes }) => routes);
  };
  const child = new Child('listen', [...ourselves(), 'listen', ...flags], read, failed);
  return { name: `fairway listen on ${address}`, manifests, routes: () => held, end: () => child.end() };
}

/** The one BGPPeer of a folder of manifests. */
export function peerOf(folder: string): BGPPeerResource {
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.yaml')))
    for (const { object } of readManifest(name, readFileSync(join(folder, name), 'utf8')).objects) {
      const read = readResource(object);
      if (read !== undefined && 'kind' in read && read.kind === 'BGPPeer') return read.value;
    }
  throw new Error(`no BGPPeer in ${folder}`);
}
