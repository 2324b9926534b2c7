// Datagrams of the packet thread on real sockets, in network namespaces: TTL, destination, link and source both ways.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lacking } from '../interop/lacking.ts';
import { A, address, B, PacketLab, udp } from './packet-lab.ts';

const cannot = lacking();
const bytes = Uint8Array.of(1, 2, 3);

describe.skipIf(cannot.length > 0)(`datagrams ${cannot.join(', ')}`, () => {
  let lab: PacketLab;
  beforeEach(() => {
    lab = new PacketLab();
    lab.up();
  });
  afterEach(() => lab.down());

  it('come with their TTL, destination and link', async () => {
    const [a, b] = [lab.probe(lab.a), lab.probe(lab.b)];
    await b.open({ do: 'udp-open', socket: 'in', options: udp() });
    await a.open({ do: 'udp-open', socket: 'out', options: udp({ port: 'dynamic' }) });
    a.do({ do: 'udp-send', socket: 'out', to: address(B.ipv4, 4000), bytes });
    const got = await b.wait('datagram');
    expect(got).toMatchObject({ socket: 'in', to: B.ipv4, link: 'eth0', ttl: 255, from: { address: A.ipv4 } });
  });
});
