// BGPPeer: the readers of both served versions and the rules of one peer. RFC 4271 §4.2 bounds the hold time, RFC 6286 the
// BGP Identifier, RFC 5082 is what `ttlSecurity` asks for. Which peers may stand together is `mode`'s to say.

import { familyOf, type Ip, parseIp } from '../net/address.ts';
import { Secret } from '../net/secret.ts';
import type { BfdProfile, Peer } from './config.ts';
import { formatDuration } from './duration.ts';
import type { Fields } from './fields.ts';
import { about, quoted, refuse, refuseForNow, worded } from './invalid.ts';
import { type PasswordContext, passwordFrom } from './password.ts';
import type { BGPPeerResource, PrefixLimit } from './resource.ts';
import { compileSelectors, refuseDuplicateSelectors, type Selector } from './selector.ts';

const ASN = { min: 0, max: 0xffffffff };

/** A time that was not given stays out. */
type GivenTimes = Pick<BGPPeerResource, 'holdTimeMs' | 'keepaliveTimeMs' | 'connectTimeMs'>;

/** `metallb.io/v1beta2`. */
export function readPeer(name: string, namespace: string, spec: Fields): BGPPeerResource {
  spec.require('myASN');
  const localASN = spec.integer('localASN', { min: 1, max: ASN.max });
  const ttlSecurity = spec.integer('ttlSecurity', { min: 1, max: 254 });
  const prefixLimit = spec.object('prefixLimit', readPrefixLimit);
  const passwordSecret = spec.object('passwordSecret', (reference) => {
    reference.ignore('namespace');
    return reference.text('name');
  });
  return {
    ...readShared(name, namespace, spec),
    ...givenTimes(spec.duration('holdTime'), spec.duration('keepaliveTime'), readConnectTime(spec)),
    peerPort: spec.integer('peerPort', { min: 1, max: 16384 }, 179),
    dynamicASN: spec.text('dynamicASN'),
    ...(localASN === undefined ? {} : { localASN }),
    interface: spec.text('interface'),
    passwordSecret: passwordSecret ?? '',
    enableGracefulRestart: spec.flag('enableGracefulRestart'),
    ...(ttlSecurity === undefined ? {} : { ttlSecurity }),
    ...(prefixLimit === undefined ? {} : { prefixLimit }),
    vrf: spec.text('vrf'),
    disableMP: spec.flag('disableMP', false),
    dualStackAddressFamily: spec.flag('dualStackAddressFamily', false),
  };
}

/** `metallb.io/v1beta1`, converted: a time that is not given becomes 0s, as MetalLB's conversion makes it. */
export function readLegacyPeer(name: string, namespace: string, spec: Fields): BGPPeerResource {
  spec.require('myASN', 'peerASN', 'peerAddress');
  const port = spec.integer('peerPort', { min: 0, max: 16384 }) ?? 0;
  return {
    ...readShared(name, namespace, spec),
    ...givenTimes(spec.duration('holdTime') ?? 0, spec.duration('keepaliveTime') ?? 0),
    // 0 is left out by the conversion, and then v1beta2's default stands in
    peerPort: port === 0 ? 179 : port,
    dynamicASN: '',
    interface: '',
    passwordSecret: '',
    enableGracefulRestart: false,
    vrf: '',
    disableMP: false,
    dualStackAddressFamily: false,
  };
}

function readShared(name: string, namespace: string, spec: Fields) {
  const password = spec.text('password');
  return {
    name,
    namespace,
    myASN: spec.integer('myASN', ASN) ?? 0,
    peerASN: spec.integer('peerASN', ASN) ?? 0,
    peerAddress: spec.text('peerAddress'),
    sourceAddress: spec.text('sourceAddress'),
    routerID: spec.text('routerID'),
    nodeSelectors: spec.selectors('nodeSelectors'),
    ...(password === '' ? {} : { password: new Secret(password) }),
    bfdProfile: spec.text('bfdProfile'),
    ebgpMultiHop: spec.flag('ebgpMultiHop'),
  };
}

function givenTimes(hold?: number, keepalive?: number, connect?: number): GivenTimes {
  return {
    ...(hold === undefined ? {} : { holdTimeMs: hold }),
    ...(keepalive === undefined ? {} : { keepaliveTimeMs: keepalive }),
    ...(connect === undefined ? {} : { connectTimeMs: connect }),
  };
}

function readPrefixLimit(fields: Fields): PrefixLimit {
  fields.require('routes');
  const routes = fields.integer('routes', { min: 1, max: 2 ** 31 - 1 }, 1);
  const action = fields.text('action');
  if (action === '') return { routes, action: 'warn' };
  if (action === 'warn' || action === 'disable-family' || action === 'reset') return { routes, action };
  const field = fields.at('action');
  return refuse('schema', `${field}: must be warn, disable-family or reset, not ${quoted(action)}`, field);
}

function readConnectTime(spec: Fields): number | undefined {
  const ms = spec.duration('connectTime');
  const field = spec.at('connectTime');
  if (ms === undefined) return undefined;
  if (ms < 1_000 || ms > 65_535_000) {
    refuse('schema', `${field}: connect time should be between 1 seconds to 65535`, field);
  }
  if (ms % 1_000 !== 0) refuse('schema', `${field}: connect time should contain a whole number of seconds`, field);
  return ms;
}

/** The namespace is also where a peer is whose object does not say. */
export interface PeerContext extends PasswordContext {
  readonly profiles: ReadonlyMap<string, BfdProfile>;
}

/** In the order given. */
export function parsePeers(resources: readonly BGPPeerResource[], context: PeerContext): readonly Peer[] {
  const names = new Set<string>();
  return resources.map((resource) =>
    about('BGPPeer', resource.name, () => {
      const peer = worded(
        (why) => `parsing peer ${resource.name} ${why}`,
        () => parsePeer(resource, context),
      );
      if (peer.bfdProfile !== undefined && !context.profiles.has(peer.bfdProfile)) {
        refuseForNow(
          'bfd-profile',
          `peer ${peer.name} referencing non existing bfd profile ${peer.bfdProfile}`,
          'spec.bfdProfile',
        );
      }
      if (names.has(peer.name)) refuse('duplicate', `peer ${peer.name} already exists`);
      names.add(peer.name);
      return peer;
    }),
  );
}

function parsePeer(resource: BGPPeerResource, context: PeerContext): Peer {
  const remote = parseRemote(resource);
  refuseHops(resource);
  const by = parseTarget(resource);
  const times = worded(
    (why) => `invalid BGPPeer timers: ${why}`,
    () => parseTimes(resource),
  );
  const address = parseAddress(resource.peerAddress, 'invalid BGPPeer address', 'spec.peerAddress');
  const routerId = parseAddress(resource.routerID, 'invalid router ID', 'spec.routerID');
  // RFC 6286 §2.1: four octets, and not zero
  if (routerId !== undefined && (familyOf(routerId) === 'ipv6' || routerId === '0.0.0.0')) {
    refuse('address', `invalid router ID ${quoted(resource.routerID)}`, 'spec.routerID');
  }
  const source = parseAddress(resource.sourceAddress, 'invalid source IP', 'spec.sourceAddress');
  const nodeSelectors = parseNodeSelectors(resource);
  const password = parsePassword(resource, context);
  const { connectTimeMs, localASN, ttlSecurity, prefixLimit } = resource;
  return {
    name: resource.name,
    myAsn: resource.myASN,
    ...(localASN === undefined ? {} : { localAsn: localASN }),
    remote,
    ...(by === 'interface' ? { interface: resource.interface } : {}),
    ...(address === undefined ? {} : { address }),
    port: resource.peerPort,
    ...(source === undefined ? {} : { source }),
    ...times,
    ...(connectTimeMs === undefined ? {} : { connectTimeMs }),
    ...(routerId === undefined ? {} : { routerId }),
    nodeSelectors,
    ...(password === undefined ? {} : { password }),
    ...(resource.bfdProfile === '' ? {} : { bfdProfile: resource.bfdProfile }),
    gracefulRestart: resource.enableGracefulRestart,
    ebgpMultiHop: resource.ebgpMultiHop,
    ...(ttlSecurity === undefined ? {} : { ttlSecurity }),
    ...(prefixLimit === undefined ? {} : { prefixLimit }),
    ...(resource.vrf === '' ? {} : { vrf: resource.vrf }),
    dualStack: resource.dualStackAddressFamily,
  };
}

function parseRemote({ myASN, peerASN, dynamicASN }: BGPPeerResource): Peer['remote'] {
  if (myASN === 0) refuse('asn', 'missing local ASN', 'spec.myASN');
  if (peerASN === 0 && dynamicASN === '') refuse('asn', 'missing peer ASN and dynamicASN', 'spec.peerASN');
  if (peerASN !== 0 && dynamicASN !== '') refuse('asn', 'both peer ASN and dynamicASN specified', 'spec.dynamicASN');
  if (dynamicASN === '') return peerASN;
  if (dynamicASN === 'internal' || dynamicASN === 'external') return dynamicASN;
  return refuse('asn', `invalid dynamicASN ${dynamicASN}`, 'spec.dynamicASN');
}

function refuseHops({ myASN, peerASN, ebgpMultiHop, ttlSecurity }: BGPPeerResource): void {
  if (!ebgpMultiHop) return;
  if (peerASN === myASN) {
    refuse('multihop', 'invalid ebgp-multihop parameter set for an ibgp peer', 'spec.ebgpMultiHop');
  }
  if (ttlSecurity !== undefined) {
    refuse('multihop', 'both ttlSecurity and ebgpMultiHop specified', 'spec.ttlSecurity');
  }
}

function parseTarget({ peerAddress, interface: link }: BGPPeerResource): 'address' | 'interface' {
  if (peerAddress === '' && link === '') {
    refuse('address', 'peer has no Address or Interface specified', 'spec.peerAddress');
  }
  if (peerAddress !== '' && link !== '') {
    refuse('address', 'peer has both Address and Interface specified', 'spec.interface');
  }
  return link === '' ? 'address' : 'interface';
}

function parseAddress(text: string, words: string, field: string): Ip | undefined {
  if (text === '') return undefined;
  return parseIp(text) ?? refuse('address', `${words} ${quoted(text)}`, field);
}

/** Both or none; the hold time in whole seconds, for OPEN has no others. */
function parseTimes(resource: BGPPeerResource): Pick<Peer, 'holdTimeMs' | 'keepaliveTimeMs'> {
  const { holdTimeMs, keepaliveTimeMs } = resource;
  const hold = holdTimeMs ?? (keepaliveTimeMs === undefined ? undefined : keepaliveTimeMs * 3);
  if (hold === undefined) return {};
  const keepalive = keepaliveTimeMs ?? hold / 3;
  const [holdText, keepaliveText] = [quoted(formatDuration(hold)), quoted(formatDuration(keepalive))];
  const whole = Math.trunc(hold / 1_000) * 1_000;
  // RFC 4271 §4.2: zero or at least three seconds, in two octets
  if (whole < 0 || (whole !== 0 && whole < 3_000)) {
    refuse('timers', `invalid hold time ${holdText}: must be 0 or >=3s`, 'spec.holdTime');
  }
  if (whole > 65_535_000) refuse('timers', `invalid hold time ${holdText}: must be at most 65535s`, 'spec.holdTime');
  if (keepalive > hold) {
    refuse(
      'timers',
      `invalid keepaliveTime ${keepaliveText}, must be lower than holdTime ${holdText}`,
      'spec.keepaliveTime',
    );
  }
  if (keepalive < 0) {
    refuse('timers', `invalid keepaliveTime ${keepaliveText}, must not be negative`, 'spec.keepaliveTime');
  }
  // RFC 4271 §4.4: keepalives stop only with the hold timer; 0s beside a hold time (v1beta1 has it so) means a third
  return { holdTimeMs: whole, keepaliveTimeMs: keepalive === 0 ? whole / 3 : Math.min(keepalive, whole) };
}

function parseNodeSelectors({ name, nodeSelectors }: BGPPeerResource): readonly Selector[] {
  refuseDuplicateSelectors(nodeSelectors, 'nodeSelectors', 'spec.nodeSelectors');
  return worded(
    (why) => `${why}\nfailed to convert peer ${name} node selector`,
    () => compileSelectors(nodeSelectors, 'spec.nodeSelectors'),
  );
}

function parsePassword(resource: BGPPeerResource, context: PeerContext): Secret | undefined {
  const { name, password, passwordSecret } = resource;
  const peer = `${quoted(resource.namespace || context.namespace)}/${quoted(name)}`;
  if (passwordSecret === '') return password;
  if (password !== undefined) {
    refuse('password', `can not have both password and secret ref set in peer config ${peer}`, 'spec.passwordSecret');
  }
  return worded(
    (why) => `${why}\nfailed to parse peer ${name} password secret`,
    () => passwordFrom(passwordSecret, `peer config ${peer}`, 'spec.passwordSecret.name', context),
  );
}
