// Our speaker as a candidate of the announcing bench: the machine and its sockets without the cluster in front of them.
// `announcer.ts LOCAL LOCAL-AS PEER PEER-AS FILE`: a session without routes first; at SIGUSR2 a plan with every prefix of
// FILE. Prints `established`, and `told` with the instant at which the plan was handed over, in ms since the epoch.

import { readFileSync } from 'node:fs';
import type { PeerConfig } from '../src/bgp/peer.ts';
import type { RouteAttributes, Wanted } from '../src/bgp/rib.ts';
import { Drive } from '../src/io/drive.ts';
import { Tcp } from '../src/io/tcp.ts';
import { type Ip, type Prefix, parseIp, parsePrefix } from '../src/net/address.ts';
import type { Plan } from '../src/plan/plan.ts';
import {
  createSpeaker,
  dueAt,
  type SpeakerEffect,
  type SpeakerEvent,
  type SpeakerState,
  step,
} from '../src/speaker.ts';

const [local = '', localAs = '', peer = '', peerAs = '', file = ''] = process.argv.slice(2);

function address(text: string): Ip {
  const ip = parseIp(text);
  if (ip === undefined) throw new Error(`no address: ${text}`);
  return ip;
}

function prefix(text: string): Prefix {
  const read = parsePrefix(text);
  if (read === undefined) throw new Error(`no prefix: ${text}`);
  return read;
}

const config: PeerConfig = {
  name: 'router',
  address: address(peer),
  port: 179,
  localAs: Number(localAs),
  remoteAs: Number(peerAs),
  fallbackRouterId: address(local),
  holdTimeMs: 90_000,
  connectRetryMs: 1_000,
  families: ['ipv4'],
  ebgpMultiHop: false,
  gracefulRestart: false,
  passive: false,
  keep: false,
  warnings: [],
};
const planWith = (routes: Wanted): Plan => ({
  node: 'bench',
  peers: [config],
  notServed: [],
  bfd: new Map(),
  routes: new Map([[config.name, routes]]),
  services: new Map(),
  layer2: [],
  candidacies: [],
});
const attributes: RouteAttributes = { key: '', communities: [], extendedCommunities: [], largeCommunities: [] };
const prefixes = readFileSync(file, 'utf8').split('\n').map(prefix);
const full = planWith(new Map(prefixes.map((each) => [each, attributes])));

const tcp = new Tcp({ emit: (event) => drive.handle(event), refused: () => {} });
const drive = new Drive<SpeakerState, SpeakerEvent, SpeakerEffect>({ step, dueAt }, createSpeaker(), (effect) => {
  if ('do' in effect) tcp.carry(effect);
  else if (effect.report === 'peer-up') console.log('established');
});
process.on('SIGUSR2', () => {
  console.log(`told ${performance.timeOrigin + performance.now()}`);
  drive.handle({ on: 'plan', plan: full, listen: [] });
});
drive.handle({ on: 'plan', plan: planWith(new Map()), listen: [] });
