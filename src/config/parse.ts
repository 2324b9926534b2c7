// Custom resources to one Config, or the first rule that they break: the whole new configuration or the old one.
// Called by the controller, the speaker and standalone at every change, by `validate` and `plan`, and by the webhooks.

import { familyOf } from '../net/address.ts';
import { parseBfdProfiles } from './bfd.ts';
import { attachBgp } from './bgp-advertisement.ts';
import { parseAliases } from './community.ts';
import type { BfdProfile, Config, Peer, Pool } from './config.ts';
import { about, attempt, Refused, refuse } from './invalid.ts';
import { attachL2 } from './l2-advertisement.ts';
import { modeCheck, selectorsOf } from './mode.ts';
import { parsePeers } from './peer.ts';
import { parsePools } from './pool.ts';
import type { BgpType, Invalid, Labelled, Resources } from './resource.ts';
import { matchesAny } from './selector.ts';

export interface ParseOptions {
  readonly bgpType: BgpType;
  /** MetalLB's: where its resources and Secrets are. */
  readonly namespace: string;
  /** On a speaker: peers and BGP advertisements of other nodes are left out before anything is judged. */
  readonly node?: string;
  /** Outside of a cluster: a node without an object is one without labels. In one it is no node (any more). */
  readonly mayBeBare?: boolean;
}

/** The configuration, its lists sorted by name, or the first broken rule. */
export function parseConfig(
  resources: Resources,
  options: ParseOptions,
): { readonly config: Config } | { readonly invalid: Invalid } {
  const parsed = attempt(() => parseAll(ofNode(sorted(resources), options), options));
  return 'value' in parsed ? { config: parsed.value } : parsed;
}

function parseAll(resources: Resources, { bgpType, namespace }: ParseOptions): Config {
  const faults = modeCheck(bgpType, resources);
  const [first] = faults;
  // nobody chose a mode: what only FRR cannot do is done and told
  if (first !== undefined && bgpType !== 'unset') throw new Refused(first);
  const { secrets } = resources;
  const profiles = parseBfdProfiles(resources.bfdProfiles, { secrets, namespace });
  const peers = parsePeers(resources.peers, { profiles, secrets, namespace });
  const pools = parseAnnouncedPools(resources);
  refuseEchoForIpv6(pools, peers, profiles);
  return {
    pools,
    peers,
    bfdProfiles: [...profiles.values()],
    warnings: faults.map(({ message }) => message),
  };
}

function parseAnnouncedPools(resources: Resources): readonly Pool[] {
  const { pools, nodes } = resources;
  const aliases = parseAliases(resources.communities);
  const bare = parsePools(pools, resources.namespaces);
  const parsed = new Map(bare.map((pool) => [pool.name, pool]));
  const l2 = attachL2(resources.l2Advertisements, pools, nodes);
  const bgp = attachBgp(resources.bgpAdvertisements, { pools, parsed, nodes, aliases });
  return bare.map((pool) => ({
    ...pool,
    bgpAdvertisements: bgp.get(pool.name) ?? [],
    l2Advertisements: l2.get(pool.name) ?? [],
  }));
}

/** BFD's echo is for IPv4 alone. */
function refuseEchoForIpv6(
  pools: readonly Pool[],
  peers: readonly Peer[],
  profiles: ReadonlyMap<string, BfdProfile>,
): void {
  const echoing = peers.filter(({ bfdProfile }) => profiles.get(bfdProfile ?? '')?.echoMode === true);
  if (echoing.length === 0) return;
  for (const pool of pools) {
    if (!pool.addresses.some(({ cidrs }) => cidrs.some((cidr) => familyOf(cidr) === 'ipv6'))) continue;
    for (const advertisement of pool.bgpAdvertisements) {
      const peer = echoing.find(({ name }) => advertisement.peers.length === 0 || advertisement.peers.includes(name));
      if (peer === undefined) continue;
      about('BGPPeer', peer.name, () =>
        refuse(
          'echo',
          `pool ${pool.name} has bgpadvertisement ${advertisement.name} which references peer ${peer.name} which has bfd echo enabled, which is not possible`,
          'spec.bfdProfile',
        ),
      );
    }
  }
}

function sorted(resources: Resources): Resources {
  const byName = <T extends { readonly name: string }>(list: readonly T[]) =>
    list.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return {
    pools: byName(resources.pools),
    peers: byName(resources.peers),
    bgpAdvertisements: byName(resources.bgpAdvertisements),
    l2Advertisements: byName(resources.l2Advertisements),
    bfdProfiles: byName(resources.bfdProfiles),
    communities: byName(resources.communities),
    secrets: byName(resources.secrets),
    nodes: byName(resources.nodes),
    namespaces: byName(resources.namespaces),
  };
}

/** Pools and L2Advertisements stay whole: every speaker must come to the same election. */
function ofNode(resources: Resources, { node, mayBeBare = false }: ParseOptions): Resources {
  if (node === undefined) return resources;
  const known = resources.nodes.find(({ name }) => name === node);
  if (known === undefined && !mayBeBare) return withoutNode(resources);
  const self: Labelled = known ?? { name: node, labels: {} };
  const here = (one: Parameters<typeof selectorsOf>[0]) => matchesAny(selectorsOf(one), self.labels);
  return {
    ...resources,
    nodes: known === undefined ? [...resources.nodes, self] : resources.nodes,
    peers: resources.peers.filter(here),
    bgpAdvertisements: resources.bgpAdvertisements.filter(here),
  };
}

/** What nobody knows the labels of is selected by nothing that asks for some; sessions that select nobody stay, idle. */
function withoutNode(resources: Resources): Resources {
  return {
    ...resources,
    peers: resources.peers.filter((peer) => selectorsOf(peer).length === 0),
    bgpAdvertisements: [],
  };
}
