// What the packet thread shows of layer 2, in the words of the brain. Pure. Used by `layer2` and by who writes statuses.

import type { AddressView } from '../l2/view.ts';
import type { LinksView } from '../links/view.ts';
import type { Ip } from '../net/address.ts';
import type { Standing } from '../plan/ownership.ts';

export type Layer2View = Pick<LinksView, 'lans'>;

/** By address, on each link that serves it. */
export function standingsOf({ lans }: Layer2View): ReadonlyMap<Ip, readonly Standing[]> {
  const standings = new Map<Ip, Standing[]>();
  const add = (ip: Ip, standing: Standing): void => {
    const here = standings.get(ip);
    if (here === undefined) standings.set(ip, [standing]);
    else here.push(standing);
  };
  for (const { segment, responder } of lans) {
    if (segment === undefined) {
      // without liveness there is nothing but what is answered
      for (const ip of responder.answers) add(ip, { is: 'answered' });
      continue;
    }
    const silent = segment.members.filter(({ stillAnswers }) => stillAnswers).map(({ node }) => node);
    for (const address of segment.addresses) {
      const standing = standingOf(address, silent);
      if (standing !== undefined) add(address.ip, standing);
    }
  }
  return standings;
}

/** Undefined: another is to answer, by all that the cluster says. */
function standingOf(address: AddressView, silent: readonly string[]): Standing | undefined {
  const { state, owner, heldBy, takenBy } = address;
  switch (state) {
    case 'owner':
    case 'handing-over':
      return { is: 'answered' };
    case 'foreign':
      return { is: 'foreign' };
    case 'suspended':
      return { is: 'waiting' };
    case 'held':
      if (heldBy === 'silence-unproven' && silent.length > 0)
        return { is: 'still-answered', ...(silent.length === 1 && { by: silent.join() }) };
      return owner === undefined ? { is: 'waiting' } : { is: 'owned', by: owner };
    case 'vacant':
      if (takenBy?.by === 'stranger') return { is: 'taken', mac: takenBy.mac };
      return takenBy === undefined ? { is: 'waiting' } : { is: 'still-answered' };
    case 'not-candidate':
      return owner === undefined ? undefined : { is: 'owned', by: owner };
  }
}

/** Whether the speaker of a node is heard on some segment of this node, or was and is no more. */
export function howHeard(view: Layer2View | undefined, node: string): 'heard' | 'silent' | 'unknown' {
  const members = (view?.lans ?? []).flatMap(
    ({ segment }) => segment?.members.filter((member) => member.node === node) ?? [],
  );
  if (members.length === 0) return 'unknown';
  return members.some(({ heard }) => heard) ? 'heard' : 'silent';
}
