// Whole sessions of FRR, BIRD and GoBGP against the codec: every message reads as tshark reads it, and what a router
// wrote in canonical form is written by us with the same octets.

import { describe, expect, it } from 'vitest';
import type { Path } from '../../src/bgp/attribute.ts';
import {
  type ExtendedCommunity,
  extendedCommunityText,
  linkBandwidth,
  readLinkBandwidth,
} from '../../src/bgp/community.ts';
import { createFramer, nextFrame, push } from '../../src/bgp/frame.ts';
import { decode, encodeKeepalive, encodeNotification, encodeRouteRefresh } from '../../src/bgp/message.ts';
import { BEFORE_OPEN, type Negotiated, negotiate } from '../../src/bgp/negotiate.ts';
import type { Nlri } from '../../src/bgp/nlri.ts';
import { describeNotification, shutdownText } from '../../src/bgp/notification.ts';
import { encodeOpen, type Open } from '../../src/bgp/open.ts';
import { encodeEndOfRib, packAnnouncements, packWithdrawals } from '../../src/bgp/pack.ts';
import type { ReceivedUpdate } from '../../src/bgp/update.ts';
import type { Family } from '../../src/net/address.ts';
import { CAPTURES, type Recorded, type SaidUpdate, type Session } from './capture.ts';
import { attribute, hex, toHex, update } from './octets.ts';

function openOf(session: Session, from: string): Open | undefined {
  const recorded = session.messages.find((message) => message.type === 'OPEN' && message.from === from);
  if (recorded === undefined) return undefined;
  const decoded = decode(hex(recorded.hex), BEFORE_OPEN, true);
  if (decoded.is !== 'OPEN') throw new Error(`${from}: ${decoded.is}`);
  return decoded.open;
}

/** As the receiver of what `from` sends sees the session. */
function negotiatedFor(session: Session, from: string): Negotiated {
  const other = session.ends.find((end) => end !== from) ?? from;
  const [local, remote] = [openOf(session, other), openOf(session, from)];
  return local === undefined || remote === undefined ? BEFORE_OPEN : negotiate(local, remote, local.as === remote.as);
}

const prefixes = (text: string): readonly string[] => (text === '' ? [] : text.split(' '));
const nlriText = ({ prefix, pathId }: Nlri): string => (pathId === undefined ? prefix : `${pathId}@${prefix}`);
const sorted = <T>(list: readonly T[] | undefined): readonly T[] => [...(list ?? [])].sort();
const byNumbers = (a: readonly number[], b: readonly number[]): number =>
  (a[0] ?? 0) - (b[0] ?? 0) || (a[1] ?? 0) - (b[1] ?? 0) || (a[2] ?? 0) - (b[2] ?? 0);

function updateOf(recorded: Recorded, negotiated: Negotiated): ReceivedUpdate {
  const decoded = decode(hex(recorded.hex), negotiated, true);
  if (decoded.is !== 'UPDATE') throw new Error(`${decoded.is}`);
  return decoded.update;
}

function expectPath(path: Path, attributes: NonNullable<SaidUpdate['attributes']>, isMp: boolean): void {
  expect(path.origin).toBe(attributes.origin);
  if (attributes.as4Path === undefined) {
    expect(path.asPath).toEqual(attributes.asPath);
    expect(path.aggregator).toEqual(attributes.aggregator);
  }
  expect(path.nextHop).toBe(isMp ? attributes.mpReach?.nextHop : attributes.nextHop);
  expect(path.linkLocalNextHop).toBe(isMp ? attributes.mpReach?.linkLocalNextHop : undefined);
  expect(path.med).toBe(attributes.med);
  expect(path.localPref).toBe(attributes.localPref);
  expect(path.atomicAggregate).toBe(attributes.atomicAggregate);
  expect(path.communities).toEqual([...(attributes.communities ?? [])].sort((a, b) => a - b));
  expect(path.extendedCommunities).toEqual(sorted(attributes.extendedCommunities));
  expect(path.largeCommunities).toEqual([...(attributes.largeCommunities ?? [])].sort(byNumbers));
  expect(path.originatorId).toBe(attributes.originatorId);
  expect(path.clusterList).toEqual(attributes.clusterList);
  expect(path.others?.map(({ code }) => code)).toEqual(attributes.others);
}

function expectUpdate(update: ReceivedUpdate, said: SaidUpdate): void {
  const attributes = said.attributes ?? {};
  expect(update.faults).toEqual([]);
  const announced = [...prefixes(attributes.mpReach?.nlri ?? ''), ...prefixes(said.nlri)];
  const withdrawn = [...prefixes(said.withdrawn), ...prefixes(attributes.mpUnreach?.nlri ?? '')];
  expect(update.routes?.announced.map(nlriText)).toEqual(announced);
  expect(update.routes?.withdrawn.map(nlriText)).toEqual(withdrawn);
  expect(update.announced.ipv4 + update.announced.ipv6).toBe(announced.length);
  expect(update.withdrawn.ipv4 + update.withdrawn.ipv6).toBe(withdrawn.length);
  const [mp, classic] = [attributes.mpReach, said.nlri];
  update.routes?.announced.forEach(({ path }, i) => {
    if (said.attributes !== undefined) expectPath(path, attributes, mp !== undefined && i < prefixes(mp.nlri).length);
  });
  const empty = announced.length === 0 && withdrawn.length === 0 && mp === undefined && classic === '';
  expect(update.endOfRib).toBe(empty ? (attributes.mpUnreach?.family ?? 'ipv4') : undefined);
}

function expectMessage(recorded: Recorded, negotiated: Negotiated): void {
  const decoded = decode(hex(recorded.hex), recorded.type === 'OPEN' ? BEFORE_OPEN : negotiated, true);
  expect(decoded.is).toBe(recorded.type);
  if (recorded.type === 'OPEN' && decoded.is === 'OPEN') {
    const { myAs, holdTimeSeconds, routerId, capabilities } = recorded.says;
    const { open } = decoded;
    const as = capabilities.fourOctetAs ?? myAs;
    const others = open.capabilities.others.map(({ code }) => code);
    expect({ ...open, capabilities: { ...open.capabilities, others } }).toEqual({
      as,
      holdTimeSeconds,
      routerId,
      // no recorded router has it
      capabilities: { ...capabilities, bfdStrict: false },
    });
  }
  if (recorded.type === 'UPDATE' && decoded.is === 'UPDATE') expectUpdate(decoded.update, recorded.says);
  if (recorded.type === 'NOTIFICATION' && decoded.is === 'NOTIFICATION') {
    const { code, subcode, shutdown } = recorded.says;
    expect(describeNotification(decoded.notification)).toMatch(new RegExp(`^${code}/${subcode} [A-Z]`));
    expect(shutdownText(decoded.notification)).toBe(shutdown);
    expect(toHex(encodeNotification(decoded.notification, 4096))).toBe(recorded.hex);
  }
  if (recorded.type === 'KEEPALIVE') expect(toHex(encodeKeepalive())).toBe(recorded.hex);
  if (recorded.type === 'ROUTE-REFRESH' && decoded.is === 'ROUTE-REFRESH') {
    expect(decoded.refresh).toEqual(recorded.says);
    if (decoded.refresh !== undefined) expect(toHex(encodeRouteRefresh(decoded.refresh))).toBe(recorded.hex);
  }
}

describe('recorded sessions', () => {
  it('are there: messages of every type from every router', () => {
    const seen = CAPTURES.flatMap(({ sessions }) => sessions.flatMap(({ messages }) => messages));
    expect(seen.length).toBeGreaterThan(130);
    for (const router of ['frr', 'bird', 'gobgp']) {
      for (const type of ['OPEN', 'UPDATE', 'KEEPALIVE', 'NOTIFICATION']) {
        expect(seen.filter((message) => message.from === router && message.type === type)).not.toEqual([]);
      }
    }
    expect(seen.filter(({ type }) => type === 'ROUTE-REFRESH').length).toBeGreaterThan(5);
  });

  for (const { file, what, sessions } of CAPTURES) {
    for (const session of sessions) {
      it(`${file}, ${session.ends.join(' and ')}: ${what}`, () => {
        for (const recorded of session.messages) {
          expectMessage(recorded, negotiatedFor(session, recorded.from));
        }
      });
    }
  }

  it('come out of the framer as they went in, however TCP cuts them', () => {
    for (const chunk of [1, 7, 19, 100, 4096, 100_000]) {
      for (const session of CAPTURES.flatMap(({ sessions }) => sessions)) {
        const sent = session.messages.map((recorded) => recorded.hex);
        const stream = hex(sent.join(''));
        const framer = createFramer();
        const received: string[] = [];
        for (let at = 0; at < stream.length; at += chunk) {
          push(framer, stream.subarray(at, at + chunk));
          for (let frame = nextFrame(framer, 65535); frame !== undefined; frame = nextFrame(framer, 65535)) {
            if (!(frame instanceof Uint8Array)) throw new Error(frame.text);
            received.push(toHex(frame));
          }
        }
        expect(received).toEqual(sent);
      }
    }
  });
});

/** The messages that would say the same in our form. */
function repack(update: ReceivedUpdate, negotiated: Negotiated): readonly Uint8Array[] {
  if (update.endOfRib !== undefined) return [encodeEndOfRib(update.endOfRib)];
  const familyOf = (prefix: string): Family => (prefix.includes(':') ? 'ipv6' : 'ipv4');
  const all = (family: Family, routes: readonly Nlri[] | undefined) =>
    (routes ?? []).filter(({ prefix }) => familyOf(prefix) === family).map(({ prefix }) => prefix);
  return (['ipv4', 'ipv6'] as const).flatMap((family) => {
    const withdrawn = all(family, update.routes?.withdrawn);
    const announced = all(family, update.routes?.announced);
    const path = update.routes?.announced.find(({ prefix }) => familyOf(prefix) === family)?.path;
    const packed = path === undefined ? [] : packAnnouncements(family, path, announced, negotiated);
    if (typeof packed === 'string') throw new Error(packed);
    return [...packWithdrawals(family, withdrawn, negotiated), ...packed];
  });
}

/** RFC 4271 §4.3 allows two octets of length only for more than 255; FRR and BIRD use them for less as well. */
function withShortLengths(octets: string): string {
  const bytes = hex(octets);
  const u16 = (at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  const attributesAt = 19 + 2 + u16(19) + 2;
  const end = attributesAt + u16(attributesAt - 2);
  const attributes: string[] = [];
  for (let at = attributesAt; at < end; ) {
    const extended = ((bytes[at] ?? 0) & 0x10) !== 0;
    const [value, length] = extended ? [at + 4, u16(at + 2)] : [at + 3, bytes[at + 2] ?? 0];
    const flags = extended && length < 256 ? (bytes[at] ?? 0) & ~0x10 : (bytes[at] ?? 0);
    attributes.push(attribute(flags, bytes[at + 1] ?? 0, toHex(bytes.slice(value, value + length))));
    at = value + length;
  }
  const parts = { withdrawn: toHex(bytes.slice(21, attributesAt - 2)), attributes, nlri: toHex(bytes.slice(end)) };
  return toHex(update(parts));
}

describe('what routers write in canonical form', () => {
  const same = new Map<string, number>();
  const different: { readonly kind: string; readonly theirs: string; readonly ours: readonly string[] }[] = [];
  const compare = (kind: string, theirs: string, ours: readonly string[]): void => {
    if (ours.length === 1 && ours[0] === theirs) same.set(kind, (same.get(kind) ?? 0) + 1);
    else different.push({ kind, theirs, ours });
  };
  for (const session of CAPTURES.flatMap(({ sessions }) => sessions)) {
    for (const recorded of session.messages) {
      const negotiated = negotiatedFor(session, recorded.from);
      const open = recorded.type === 'OPEN' ? openOf(session, recorded.from) : undefined;
      if (open !== undefined) compare(`${recorded.from} OPEN`, recorded.hex, [toHex(encodeOpen(open))]);
      // path identifiers are read and never written
      if (recorded.type !== 'UPDATE' || negotiated.addPathReceive.ipv4) continue;
      const ours = repack(updateOf(recorded, negotiated), { ...negotiated, maxSend: 65535 });
      compare(`${recorded.from} UPDATE`, withShortLengths(recorded.hex), ours.map(toHex));
    }
  }
  const differences = (kind: string) => different.filter((one) => one.kind === kind);

  it('is written by us with the same octets', () => {
    expect(differences('bird OPEN')).toEqual([]);
    expect(differences('bird UPDATE')).toEqual([]);
    expect(same.get('bird UPDATE')).toBeGreaterThanOrEqual(30);
    expect(same.get('frr UPDATE')).toBeGreaterThanOrEqual(26);
  });

  it('and differs from FRR and GoBGP in the order of things alone', () => {
    const inOrder = (octets: string): readonly string[] => (octets.match(/../g) ?? []).sort();
    const reordered = ['frr UPDATE', 'gobgp UPDATE', 'gobgp OPEN'].flatMap(differences);
    expect(reordered.length).toBeLessThan(8);
    for (const { theirs, ours } of reordered) expect(inOrder(ours.join(''))).toEqual(inOrder(theirs));
  });

  it('and what they write otherwise says the same again when we have written it', () => {
    for (const session of CAPTURES.flatMap(({ sessions }) => sessions)) {
      for (const recorded of session.messages) {
        const negotiated = negotiatedFor(session, recorded.from);
        if (recorded.type !== 'UPDATE' || negotiated.addPathReceive.ipv4) continue;
        const update = updateOf(recorded, negotiated);
        const ours = repack(update, { ...negotiated, maxSend: 65535 });
        const again = ours.map((octets) => updateOf({ ...recorded, hex: toHex(octets) }, negotiated));
        expect(again.flatMap(({ routes }) => routes?.announced ?? [])).toEqual(update.routes?.announced);
        expect(again.flatMap(({ routes }) => routes?.withdrawn ?? [])).toEqual(update.routes?.withdrawn);
      }
    }
  });
});

describe('RFC 6793, a speaker that knows two octets', () => {
  const old = CAPTURES.find(({ file }) => file === 'frr-bird-old-speaker.json');
  const session = old?.sessions[0];
  const received = (prefix: string): Path | undefined => {
    if (session === undefined) return undefined;
    const negotiated = negotiatedFor(session, 'frr');
    const routes = session.messages
      .filter(({ type, from }) => type === 'UPDATE' && from === 'frr')
      .flatMap((recorded) => updateOf(recorded, negotiated).routes?.announced ?? []);
    return routes.find((route) => route.prefix === prefix)?.path;
  };

  it('says AS_TRANS in AS_PATH, and the real numbers come out of AS4_PATH', () => {
    // as configured: BIRD's own prefix back from AS 4200000001
    expect(received('192.0.2.1/32')?.asPath).toEqual([{ is: 'sequence', as: [4200000001, 64513] }]);
    expect(received('203.0.113.1/32')?.asPath).toEqual([{ is: 'sequence', as: [4200000001] }]);
  });

  it('and the aggregator out of AS4_AGGREGATOR', () => {
    expect(received('203.0.113.0/24')?.aggregator).toEqual({ as: 4200000001, address: '198.51.100.1' });
  });

  it('and is written to by us as FRR writes to it, but for its extended lengths', () => {
    const path = received('203.0.113.0/24');
    if (path === undefined || session === undefined) throw new Error('no such route');
    const negotiated = negotiatedFor(session, 'frr');
    const packed = packAnnouncements('ipv4', path, ['203.0.113.0/24' as never], negotiated);
    if (typeof packed === 'string') throw new Error(packed);
    const recorded = session.messages.find(({ hex: octets }) => octets.endsWith('18cb0071'));
    const plain = recorded?.hex
      .replace('0056020000003b', '00540200000039')
      .replace('50020004', '400204')
      .replace('d0110006', 'c01106');
    expect([...packed].map(toHex)).toEqual([plain]);
  });
});

describe('extended communities', () => {
  // tshark's words of the same octets
  const NAMES = { 'Route Target': 'rt', 'Route Origin': 'soo' } as const;
  const ours = (text: string): string | undefined => {
    const [, name, value] = /^(Route Target|Route Origin): (\S+) \[/.exec(text) ?? [];
    // four octets are shown twice: 64086.59917(4200000013)
    const number = value?.replace(/^[\d.]+\((\d+)\)/, '$1');
    return name === undefined ? undefined : `${NAMES[name as keyof typeof NAMES]}:${number}`;
  };

  it('read as tshark names them', () => {
    const read = CAPTURES.flatMap(({ sessions }) => sessions.flatMap(({ messages }) => messages))
      .flatMap((recorded) => (recorded.type === 'UPDATE' ? [recorded.says.attributes ?? {}] : []))
      .flatMap(({ extendedCommunities = [], extendedCommunitiesText = [] }) =>
        extendedCommunities.map((octets, i) => [octets, ours(extendedCommunitiesText[i] ?? '')] as const),
      )
      .filter(([, text]) => text !== undefined);
    expect(read.length).toBeGreaterThan(10);
    for (const [octets, text] of read) expect(extendedCommunityText(octets as ExtendedCommunity)).toBe(text);
  });

  it('read as FRR was told: `set extcommunity bandwidth 100`, in Mbit/s', () => {
    const [bandwidth] = CAPTURES.flatMap(({ sessions }) => sessions.flatMap(({ messages }) => messages))
      .flatMap((recorded) => (recorded.type === 'UPDATE' ? (recorded.says.attributes?.extendedCommunities ?? []) : []))
      .filter((octets) => octets.startsWith('0004'));
    expect(readLinkBandwidth(bandwidth as ExtendedCommunity)).toEqual({
      as: 64512,
      bytesPerSecond: 100_000_000 / 8,
      transitive: true,
    });
    expect(linkBandwidth(64512, 12_500_000, true)).toBe(bandwidth);
  });
});
