// Certificates of our own making (RFC 5280): a CA, and server certificates that it signs. RSA 2048 with SHA-256, so that
// whatever list of cipher suites served MetalLB's certificates serves these. Used by certificate, and by who serves
// metrics without a certificate from outside.

import {
  createHash,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { promisify } from 'node:util';
import * as der from './der.ts';

/** PEM. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
}

const DAY_MS = 86_400_000;
const LIFE_MS = 3_653 * DAY_MS;
/** Clocks differ, also by mistake. */
const BEFORE_MS = DAY_MS;
/** RFC 5280, ub-common-name. */
const LONGEST_NAME = 64;

const OID = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  sha256WithRSA: '1.2.840.113549.1.1.11',
} as const;

/** Key usage bits, RFC 5280 §4.2.1.3, in the order of the octet: digitalSignature is the highest. */
const [DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, KEY_CERT_SIGN, CRL_SIGN] = [0x80, 0x20, 0x04, 0x02];

const generate = promisify(generateKeyPair);

/** A certificate authority that signs itself, good for ten years. */
export async function issueCa(now: Date): Promise<Issued> {
  const { publicKey, privateKey } = await generate('rsa', { modulusLength: 2048 });
  const name = nameOf('cert', 'metallb');
  const extensions = [
    extension('basicConstraints', der.sequence(der.boolean(true)), true),
    extension('keyUsage', keyUsage(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT | KEY_CERT_SIGN | CRL_SIGN), true),
    extension('subjectKeyIdentifier', der.octetString(identifierOf(publicKey))),
  ];
  return certify({ subject: name, issuer: name, publicKey, extensions, now }, privateKey, privateKey);
}

/** A server's certificate for DNS names, the first of which it is called by. Signed by `ca`, or by itself. */
export async function issueServer(ca: Issued | undefined, names: readonly string[], now: Date): Promise<Issued> {
  const { publicKey, privateKey } = await generate('rsa', { modulusLength: 2048 });
  const subject = nameOf((names[0] ?? '').slice(0, LONGEST_NAME));
  const issuer = ca === undefined ? subject : nameOf('cert', 'metallb');
  const issuerKey = ca === undefined ? publicKey : createPublicKey(ca.key);
  const dnsNames = names.map((name) => der.implicit(2, Buffer.from(name, 'latin1')));
  const extensions = [
    extension('basicConstraints', der.sequence(), true),
    extension('keyUsage', keyUsage(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT), true),
    extension('extendedKeyUsage', der.sequence(der.objectIdentifier(OID.serverAuth))),
    extension('subjectKeyIdentifier', der.octetString(identifierOf(publicKey))),
    extension('authorityKeyIdentifier', der.sequence(der.implicit(0, identifierOf(issuerKey)))),
    extension('subjectAltName', der.sequence(...dnsNames)),
  ];
  return certify({ subject, issuer, publicKey, extensions, now }, privateKey, ca?.key ?? privateKey);
}

interface Contents {
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Buffer[];
  readonly now: Date;
}

function certify(contents: Contents, own: KeyObject, signer: KeyObject | string): Issued {
  const { subject, issuer, publicKey, extensions, now } = contents;
  const algorithm = der.sequence(der.objectIdentifier(OID.sha256WithRSA), der.nothing());
  const validity = der.sequence(
    der.time(new Date(now.getTime() - BEFORE_MS)),
    der.time(new Date(now.getTime() + LIFE_MS)),
  );
  const body = der.sequence(
    der.explicit(0, der.integer(Buffer.from([2]))),
    der.integer(serialNumber()),
    algorithm,
    issuer,
    validity,
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der.explicit(3, der.sequence(...extensions)),
  );
  const signature = sign('sha256', body, signer);
  const certificate = der.sequence(body, algorithm, der.bitString(signature));
  return {
    cert: new X509Certificate(certificate).toString(),
    key: own.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** RFC 5280 §4.1.2.2: positive, at most 20 octets, never the same twice. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

/** As Go writes them, which compares names octet by octet: a CA that MetalLB made stays of use. */
function nameOf(commonName: string, organization?: string): Buffer {
  const part = (oid: string, value: string) =>
    der.setOf(der.sequence(der.objectIdentifier(oid), der.printableString(value)));
  return der.sequence(
    ...(organization === undefined ? [] : [part(OID.organization, organization)]),
    part(OID.commonName, commonName),
  );
}

function extension(name: keyof typeof OID, value: Uint8Array, critical = false): Buffer {
  const id = der.objectIdentifier(OID[name]);
  return der.sequence(id, ...(critical ? [der.boolean(true)] : []), der.octetString(value));
}

/** DER leaves out the zero bits at the end. */
function keyUsage(bits: number): Buffer {
  let unused = 0;
  while (unused < 7 && ((bits >> unused) & 1) === 0) unused++;
  return der.bitString(Buffer.from([bits]), unused);
}

/** RFC 5280 §4.2.1.2 (1): SHA-1 of the bits of the public key. */
function identifierOf(publicKey: KeyObject): Buffer {
  const { n, e } = publicKey.export({ format: 'jwk' });
  const number = (text: string | undefined) => der.integer(Buffer.from(text ?? '', 'base64url'));
  return createHash('sha1')
    .update(der.sequence(number(n), number(e)))
    .digest();
}
