// Frames of the packet thread on real sockets, in network namespaces: the other end is the kernel's own ARP and Neighbor
// Discovery, so what is sent must be right and what is answered is nobody's echo.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lacking } from '../interop/lacking.ts';
import { hex, PacketLab } from './packet-lab.ts';

const cannot = lacking();
const ARP_REQUEST = hex(
  'ffffffffffff 02000000000a 0806 0001 0800 06 04 0001 02000000000a c0000201 000000000000 c0000202',
);

describe.skipIf(cannot.length > 0)(`frames ${cannot.join(', ')}`, () => {
  let lab: PacketLab;
  beforeEach(() => {
    lab = new PacketLab();
    lab.up();
  });
  afterEach(() => lab.down());

  it('ask the kernel of the other side by ARP, and bring its answer, not the question', async () => {
    const a = lab.probe(lab.a);
    await a.open({ do: 'frames-open', link: 'eth0' });
    a.do({ do: 'frame-send', link: 'eth0', bytes: ARP_REQUEST });
    const { link, bytes } = await a.wait('frame');
    expect(link).toBe('eth0');
    expect(Buffer.from(bytes).toString('hex')).toMatch(
      /^02000000000a02000000000b08060001080006040002 02000000000bc000020202000000000ac0000201/.source.replace(
        ' ',
        '',
      ) && /^02000000000a02000000000b0806000108000604000202000000000bc000020202000000000ac0000201/,
    );
    expect(a.all('frame')).toHaveLength(1);
  });
});
