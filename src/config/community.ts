// BGP communities as users write them (`65000:100`, `large:65000:1:2`) and the Community resource that names them.
// Read by the parser of BGP advertisements; printed and sorted for everything that shows them. RFC 1997, RFC 8092.

import type { Community } from './config.ts';
import type { Fields } from './fields.ts';
import { about, attempt, quoted, refuse, refuseForNow } from './invalid.ts';
import type { CommunityResource } from './resource.ts';

export function readCommunity(name: string, spec: Fields): CommunityResource {
  return {
    name,
    communities: spec.objects('communities', (alias) => ({ name: alias.text('name'), value: alias.text('value') })),
  };
}

/** A standard or large community; a text of neither form is refused as transient: it may be an alias yet to come. */
export function parseCommunity(text: string, field?: string): Community {
  const parts = text.split(':');
  if (parts.length === 2) {
    const [high = 0, low = 0] = parts.map((part) => section(part, text, 0xffff, field));
    return { is: 'standard', value: high * 0x10000 + low };
  }
  if (parts.length !== 4) return refuseForNow('community', `invalid community format: ${text}`, field);
  if (parts[0] !== 'large') {
    refuse(
      'community',
      `invalid community value: invalid marker for large community, expected community to be of format large:<uint32>:<uint32>:<uint32> but got ${quoted(text)} instead`,
      field,
    );
  }
  const [admin = 0, one = 0, two = 0] = parts.slice(1).map((part) => section(part, text, 0xffffffff, field));
  return { is: 'large', value: [admin, one, two] };
}

function section(part: string, text: string, max: number, field?: string): number {
  const because = !/^\d+$/.test(part) ? 'invalid syntax' : Number(part) > max ? 'value out of range' : undefined;
  if (because === undefined) return Number(part);
  const error = quoted(`strconv.ParseUint: parsing ${quoted(part)}: ${because}`);
  return refuse(
    'community',
    `invalid community value: invalid section ${quoted(part)} of community ${quoted(text)}, err: ${error}`,
    field,
  );
}

/** Names to values, over all Community objects in their order. */
export function parseAliases(resources: readonly CommunityResource[]): ReadonlyMap<string, Community> {
  const aliases = new Map<string, Community>();
  for (const resource of resources) {
    about('Community', resource.name, () => {
      for (const [i, { name, value }] of resource.communities.entries()) {
        const field = `spec.communities[${i}]`;
        const done = attempt(() => parseCommunity(value));
        // here nothing may come later: every error is final
        if ('invalid' in done) {
          refuse('community', `parsing community ${quoted(name)}: ${done.invalid.message}`, `${field}.value`);
        }
        if (aliases.has(name))
          refuse('duplicate', `duplicate definition of community ${quoted(name)}`, `${field}.name`);
        aliases.set(name, done.value);
      }
    });
  }
  return aliases;
}

/** `65000:100`, `large:65000:1:2`: the form that is written in resources. */
export function communityText(community: Community): string {
  if (community.is === 'large') return `large:${community.value.join(':')}`;
  return `${community.value >>> 16}:${community.value & 0xffff}`;
}

/** Numerically, a standard community as (value, 0, 0); of equal numbers the standard one first. */
export function compareCommunities(a: Community, b: Community): number {
  const [x, y] = [numbers(a), numbers(b)];
  for (let i = 0; i < 3; i++) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.is === b.is ? 0 : a.is === 'standard' ? -1 : 1;
}

function numbers(community: Community): readonly number[] {
  return community.is === 'large' ? community.value : [community.value, 0, 0];
}
