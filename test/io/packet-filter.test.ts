// What the kernel lets through to the socket of the speakers, on real sockets in network namespaces: all that speakers say to
// each other, and of what is one octet beside it nothing.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encode } from '../../src/l2/claim.ts';
import type { Statement } from '../../src/l2/statement.ts';
import type { Ip } from '../../src/net/address.ts';
import type { PacketEffect } from '../../src/net/packet-io.ts';
import { lacking } from '../interop/lacking.ts';
import { cluster, startAll } from '../links/lan.ts';
import { datagrams } from '../links/pair.ts';
import { A, address, B, hex, PacketLab, type Probe, udp } from './packet-lab.ts';
import { until } from './sockets.ts';

const cannot = lacking();
const PORT = 7946;
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** RFC 5880 §4.1, §4.4: version 1, Down, A, 52 octets; Meticulous Keyed SHA1 of 28 octets, key id 1. */
const BFD = hex(`20440334 00000001 00000000 000493e0 000493e0 00000000 051c0100 00000007 ${'ab'.repeat(20)}`);

/** The shortest one: names of one octet, no MAC, no address, nobody heard, no rows. */
const shortest = (here: boolean): Statement => ({
  ...{ node: 'a', link: 'b', here, incarnation: 1, sequence: 1, clock: 0, part: 0, macs: [], rows: [], sightings: [] },
  ...{ ready: false, gatewayOk: false, leaving: false, goodbye: false, asks: false },
});
const signed = (statement: Statement): Uint8Array => encode(statement, new Uint8Array(32))[0] ?? new Uint8Array();
const HERE = signed(shortest(true));
const ELSEWHERE = signed(shortest(false));
const longest = (octets: number) => Uint8Array.of(...HERE.subarray(0, 34), ...new Uint8Array(octets - 34));

/** The same, but for the octet at that place. */
const but = (bytes: Uint8Array, at: number, octet: number) => bytes.map((each, of) => (of === at ? octet : each));

type Case = readonly [what: string, bytes: Uint8Array, ttl?: number];
const PASSES: readonly Case[] = [
  ['BFD', BFD],
  ['a statement', HERE],
  ['one that came another way', ELSEWHERE, 3],
  ['one of 1,200 octets', longest(1_200)],
];
const FALLS: readonly Case[] = [
  ['nothing', new Uint8Array()],
  ['one octet', Uint8Array.of(0x20)],
  ['noise', new Uint8Array(200).fill(0x5a)],
  ['BFD of version 0', but(BFD, 0, 0)],
  ['BFD without the A bit', but(BFD, 1, 0x40)],
  ['BFD with the M bit', but(BFD, 1, 0x45)],
  ['BFD that is not signed', hex('20400318 00000001 00000000 000493e0 000493e0 00000000')],
  ['BFD with a length beyond its end', but(BFD, 3, 53)],
  ['BFD with one octet more', Uint8Array.of(...BFD, 0)],
  ['BFD with one octet less', BFD.subarray(0, -1)],
  ['BFD with SHA1 that is not meticulous', but(BFD, 24, 4)],
  ['BFD with an authentication section of 27 octets', but(BFD, 25, 27)],
  ['BFD over a router', BFD, 254],
  ['a statement of another magic', but(HERE, 3, 0x33)],
  ['a statement of another version', but(HERE, 4, 2)],
  ['a statement that is too short', HERE.subarray(0, -1)],
  ['a statement that is too long', longest(1_201)],
  ['a statement over a router that says it is from here', HERE, 254],
];

describe.skipIf(cannot.length > 0)(`the filter of the speakers' socket ${cannot.join(', ')}`, () => {
  let lab: PacketLab;
  let a: Probe;
  let b: Probe;
  beforeEach(() => {
    lab = new PacketLab();
    lab.up();
    [a, b] = [lab.probe(lab.a), lab.probe(lab.b)];
  });
  afterEach(() => lab.down());

  /** Sends them in their order, and returns what arrived before the last one. */
  async function arrived(family: 'ipv4' | 'ipv6', cases: readonly Case[]): Promise<readonly string[]> {
    const own = udp({ family, port: PORT, only: 'speakers' });
    for (const probe of [a, b]) await probe.open({ do: 'udp-open', socket: 'speakers', options: own });
    const to = address(B[family], PORT);
    const END = but(BFD, 51, 0xee);
    a.do(
      ...[...cases, ['the end', END, 255] as const].map(
        ([, bytes, ttl = 255]): PacketEffect => ({ do: 'udp-send', socket: 'speakers', to, ttl, bytes }),
      ),
    );
    await until('the end', () => b.all('datagram').find(({ bytes }) => text(bytes) === text(END)));
    expect(a.all('failed')).toEqual([]);
    return b.all('datagram').flatMap(({ bytes, from }) => {
      expect(from.address).toBe(A[family] as Ip);
      return text(bytes) === text(END) ? [] : [text(bytes)];
    });
  }

  it('knows how short a statement may be', () => {
    expect(HERE).toHaveLength(66);
    expect(BFD).toHaveLength(52);
  });

  it.each(['ipv4', 'ipv6'] as const)(
    'lets through what may be a word of a speaker, and nothing else: %s',
    async (family) => {
      const mixed = FALLS.flatMap((each, at) => [each, PASSES[at % PASSES.length] ?? each]);
      const expected = FALLS.map((_, at) => text(PASSES[at % PASSES.length]?.[1] ?? new Uint8Array()));
      const nameOf = new Map([...FALLS, ...PASSES].map(([what, bytes]) => [text(bytes), what]));
      const names = (all: readonly string[]) => all.map((each) => nameOf.get(each) ?? each);
      expect(names(await arrived(family, mixed))).toEqual(names(expected));
    },
  );

  it('lets through all that three speakers say to each other in half a minute', async () => {
    const self = cluster(1);
    startAll(self);
    self.world.run(30_000);
    const said = self.nodes.flatMap((node) => datagrams(node).filter(({ to }) => to.port === PORT));
    const distinct = [...new Map(said.map(({ bytes }) => [text(bytes), bytes])).values()].slice(-400);
    expect(new Set(distinct.map(([first = 0]) => first >> 5))).toEqual(new Set([1, 2]));
    const got = await arrived(
      'ipv4',
      distinct.map((bytes) => ['said', bytes]),
    );
    expect(got).toEqual(distinct.map(text));
  });
});
