// ARP and NDP frames as the Linux kernel (6.18) sent them between two namespaces, with what
// tshark 4.0 reads in them: resolution, gratuitous requests, Duplicate Address Detection, solicited and unsolicited NAs.

export type Seen =
  | ({ readonly is: 'arp'; readonly operation: 'request' | 'reply' } & Readonly<
      Record<'destination' | 'source' | 'senderMac' | 'senderIp' | 'targetMac' | 'targetIp', string>
    >)
  | ({ readonly is: 'solicitation'; readonly sourceLink?: string } & Common)
  | ({
      readonly is: 'advertisement';
      readonly router: boolean;
      readonly solicited: boolean;
      readonly override: boolean;
      readonly targetLink?: string;
    } & Common);
type Common = Readonly<Record<'destination' | 'source' | 'from' | 'to' | 'target', string>>;

export const FRAMES: readonly (readonly [hex: string, seen: Seen])[] = [
  [
    '3333ff00000202000000000b86dd6000000000203aff00000000000000000000000000000000ff0200000000000000000001ff00000287002de80000000020010db80000000000000000000000020e01c3763cf5108e',
    {
      is: 'solicitation',
      destination: '33:33:ff:00:00:02',
      source: '02:00:00:00:00:0b',
      from: '::',
      to: 'ff02::1:ff00:2',
      target: '2001:db8::2',
    },
  ],
  [
    '3333ff00000a02000000000a86dd6000000000203aff00000000000000000000000000000000ff0200000000000000000001ff00000a87005bd100000000fe80000000000000000000fffe00000a0e0162a2dd6bd32a',
    {
      is: 'solicitation',
      destination: '33:33:ff:00:00:0a',
      source: '02:00:00:00:00:0a',
      from: '::',
      to: 'ff02::1:ff00:a',
      target: 'fe80::ff:fe00:a',
    },
  ],
  [
    '3333ff00000102000000000a86dd6000000000203aff00000000000000000000000000000000ff0200000000000000000001ff00000187004db20000000020010db80000000000000000000000010e014744e266c786',
    {
      is: 'solicitation',
      destination: '33:33:ff:00:00:01',
      source: '02:00:00:00:00:0a',
      from: '::',
      to: 'ff02::1:ff00:1',
      target: '2001:db8::1',
    },
  ],
  [
    '3333ff00000b02000000000b86dd6000000000203aff00000000000000000000000000000000ff0200000000000000000001ff00000b870045b200000000fe80000000000000000000fffe00000b0e01eefbe6135446',
    {
      is: 'solicitation',
      destination: '33:33:ff:00:00:0b',
      source: '02:00:00:00:00:0b',
      from: '::',
      to: 'ff02::1:ff00:b',
      target: 'fe80::ff:fe00:b',
    },
  ],
  [
    'ffffffffffff02000000000a0806000108000604000102000000000ac0000201000000000000c0000202',
    {
      is: 'arp',
      destination: 'ff:ff:ff:ff:ff:ff',
      source: '02:00:00:00:00:0a',
      operation: 'request',
      senderMac: '02:00:00:00:00:0a',
      senderIp: '192.0.2.1',
      targetMac: '00:00:00:00:00:00',
      targetIp: '192.0.2.2',
    },
  ],
  [
    '02000000000a02000000000b0806000108000604000202000000000bc000020202000000000ac0000201',
    {
      is: 'arp',
      destination: '02:00:00:00:00:0a',
      source: '02:00:00:00:00:0b',
      operation: 'reply',
      senderMac: '02:00:00:00:00:0b',
      senderIp: '192.0.2.2',
      targetMac: '02:00:00:00:00:0a',
      targetIp: '192.0.2.1',
    },
  ],
  [
    '3333ff00000202000000000a86dd6000000000203aff20010db8000000000000000000000001ff0200000000000000000001ff00000287001c1e0000000020010db8000000000000000000000002010102000000000a',
    {
      is: 'solicitation',
      destination: '33:33:ff:00:00:02',
      source: '02:00:00:00:00:0a',
      from: '2001:db8::1',
      to: 'ff02::1:ff00:2',
      target: '2001:db8::2',
      sourceLink: '02:00:00:00:00:0a',
    },
  ],
  [
    '02000000000a02000000000b86dd6000000000203aff20010db800000000000000000000000220010db800000000000000000000000188008a686000000020010db8000000000000000000000002020102000000000b',
    {
      is: 'advertisement',
      destination: '02:00:00:00:00:0a',
      source: '02:00:00:00:00:0b',
      from: '2001:db8::2',
      to: '2001:db8::1',
      target: '2001:db8::2',
      router: false,
      solicited: true,
      override: true,
      targetLink: '02:00:00:00:00:0b',
    },
  ],
  [
    'ffffffffffff02000000000b0806000108000604000102000000000bc0000202000000000000c0000263',
    {
      is: 'arp',
      destination: 'ff:ff:ff:ff:ff:ff',
      source: '02:00:00:00:00:0b',
      operation: 'request',
      senderMac: '02:00:00:00:00:0b',
      senderIp: '192.0.2.2',
      targetMac: '00:00:00:00:00:00',
      targetIp: '192.0.2.99',
    },
  ],
  [
    'ffffffffffff02000000000b0806000108000604000102000000000bc0000202000000000000c0000202',
    {
      is: 'arp',
      destination: 'ff:ff:ff:ff:ff:ff',
      source: '02:00:00:00:00:0b',
      operation: 'request',
      senderMac: '02:00:00:00:00:0b',
      senderIp: '192.0.2.2',
      targetMac: '00:00:00:00:00:00',
      targetIp: '192.0.2.2',
    },
  ],
  [
    '3333ff00000302000000000b86dd6000000000203aff00000000000000000000000000000000ff0200000000000000000001ff00000387004abe0000000020010db80000000000000000000000030e010ca22684c0fb',
    {
      is: 'solicitation',
      destination: '33:33:ff:00:00:03',
      source: '02:00:00:00:00:0b',
      from: '::',
      to: 'ff02::1:ff00:3',
      target: '2001:db8::3',
    },
  ],
  [
    '3333ff00000b02000000000b86dd6000000000203aff00000000000000000000000000000000ff0200000000000000000001ff00000b8700302500000000fe80000000000000000000fffe00000b0e01c561732d0654',
    {
      is: 'solicitation',
      destination: '33:33:ff:00:00:0b',
      source: '02:00:00:00:00:0b',
      from: '::',
      to: 'ff02::1:ff00:b',
      target: 'fe80::ff:fe00:b',
    },
  ],
  [
    '33330000000102000000000b86dd6000000000203aff20010db8000000000000000000000003ff0200000000000000000000000000018800f91c2000000020010db8000000000000000000000003020102000000000b',
    {
      is: 'advertisement',
      destination: '33:33:00:00:00:01',
      source: '02:00:00:00:00:0b',
      from: '2001:db8::3',
      to: 'ff02::1',
      target: '2001:db8::3',
      router: false,
      solicited: false,
      override: true,
      targetLink: '02:00:00:00:00:0b',
    },
  ],
  [
    '33330000000102000000000b86dd6000000000203afffe80000000000000000000fffe00000bff0200000000000000000000000000018800597d20000000fe80000000000000000000fffe00000b020102000000000b',
    {
      is: 'advertisement',
      destination: '33:33:00:00:00:01',
      source: '02:00:00:00:00:0b',
      from: 'fe80::ff:fe00:b',
      to: 'ff02::1',
      target: 'fe80::ff:fe00:b',
      router: false,
      solicited: false,
      override: true,
      targetLink: '02:00:00:00:00:0b',
    },
  ],
  [
    '3333ff00000202000000000a86dd6000000000203aff00000000000000000000000000000000ff0200000000000000000001ff0000028700c3e10000000020010db80000000000000000000000020e016ed076299606',
    {
      is: 'solicitation',
      destination: '33:33:ff:00:00:02',
      source: '02:00:00:00:00:0a',
      from: '::',
      to: 'ff02::1:ff00:2',
      target: '2001:db8::2',
    },
  ],
];
