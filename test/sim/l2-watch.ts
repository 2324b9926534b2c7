// Who answers for each address, on each side of the LAN, at every moment: how long nobody did although somebody could, and
// how long two did. Facts of the world only, nothing of what a machine believes.

import type { Ip } from '../../src/net/address.ts';
import type { LanWorld, NodeModel } from './l2-world.ts';

/** In ms; `since` is the later of its beginning and the last fault, where it is reckoned from that. */
export interface Span {
  readonly ip: Ip;
  readonly side: number;
  readonly from: number;
  readonly to: number;
  readonly answerers: readonly string[];
}

interface Track {
  state: 'none' | 'one' | 'two';
  since: number;
  answerers: readonly string[];
  /** Who answered alone last. */
  owner: string | undefined;
}

/** A node that has run undisturbed for so long must be able to take an address. */
const SETTLED_MS = 2_500;

export class Watch {
  readonly world: LanWorld;
  readonly gaps: Span[] = [];
  readonly overlaps: Span[] = [];
  moves: { readonly at: number; readonly ip: Ip; readonly from: string; readonly to: string }[] = [];
  /** Only these are looked at, if given: candidates of an address. */
  candidate: (node: NodeModel, ip: Ip) => boolean = () => true;
  readonly #tracks = new Map<string, Track>();
  readonly #ableSince = new Map<string, number>();

  constructor(world: LanWorld) {
    this.world = world;
    world.onChange = () => this.look();
  }

  look(): void {
    const { world } = this;
    const sides = new Set(world.nodes.map(({ side }) => side));
    this.#noteAble();
    for (const side of sides) for (const ip of world.vips) this.#lookAt(ip, side);
    for (const [key, track] of this.#tracks) {
      if (sides.has(Number(key.split(' ')[1]))) continue;
      this.#close(key, track);
      this.#tracks.delete(key);
    }
  }

  #noteAble(): void {
    for (const node of this.world.nodes) {
      const able =
        this.world.isAwake(node) &&
        node.carrier &&
        node.portBlockedUntil <= this.world.now &&
        !node.metallb &&
        node.serving;
      if (!able) this.#ableSince.delete(node.name);
      else if (!this.#ableSince.has(node.name)) this.#ableSince.set(node.name, this.world.now);
    }
  }

  /** Somebody on that side should answer. */
  isServable(ip: Ip, side: number): boolean {
    const { world } = this;
    return world.nodes.some((node) => {
      const since = this.#ableSince.get(node.name);
      return since !== undefined && node.side === side && world.now - since > SETTLED_MS && this.candidate(node, ip);
    });
  }

  #lookAt(ip: Ip, side: number): void {
    const { now } = this.world;
    const answerers = this.world.answerers(ip, side).map(({ name }) => name);
    const state = answerers.length === 0 ? 'none' : answerers.length === 1 ? 'one' : 'two';
    const key = `${ip} ${side}`;
    const track = this.#tracks.get(key);
    if (track === undefined) {
      this.#tracks.set(key, { state, since: now, answerers, owner: state === 'one' ? answerers[0] : undefined });
      return;
    }
    if (track.state === state && track.answerers.join() === answerers.join()) return;
    if (track.state !== state) {
      this.#close(key, track);
      track.state = state;
      track.since = now;
    }
    track.answerers = answerers;
    const [owner] = answerers;
    if (state !== 'one' || owner === undefined) return;
    if (track.owner !== undefined && track.owner !== owner)
      this.moves.push({ at: now, ip, from: track.owner, to: owner });
    track.owner = owner;
  }

  #close(key: string, track: Track): void {
    const [ip, side] = key.split(' ') as [Ip, string];
    if (track.state === 'one') return;
    const { since: from, answerers } = track;
    const span = { ip, side: Number(side), from, to: this.world.now, answerers };
    if (span.to - span.from < 1e-6) return;
    (track.state === 'none' ? this.gaps : this.overlaps).push(span);
  }

  /** What is going on now, with its beginning. */
  now(state: 'none' | 'two'): readonly Span[] {
    const spans: Span[] = [];
    for (const [key, track] of this.#tracks) {
      const [ip, side] = key.split(' ') as [Ip, string];
      if (track.state !== state) continue;
      spans.push({ ip, side: Number(side), from: track.since, to: this.world.now, answerers: track.answerers });
    }
    return spans;
  }

  /** The longest of what was closed and of what goes on, in ms, from `after` on. */
  worst(state: 'none' | 'two', after = 0): number {
    const spans = [...(state === 'none' ? this.gaps : this.overlaps), ...this.now(state)];
    return spans
      .filter(({ to }) => to > after)
      .reduce((most, { from, to }) => Math.max(most, to - Math.max(from, after)), 0);
  }
}
