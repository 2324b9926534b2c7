// Certificates that we write, as OpenSSL reads them (through node:crypto and over a real TLS connection), and DER against
// the examples of X.690 and RFC 5280.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect, rootCertificates } from 'node:tls';
import { afterAll, describe, expect, it } from 'vitest';
import * as der from '../../src/k8s/der.ts';
import { issueCa, issueServer } from '../../src/k8s/x509.ts';

const NOW = new Date('2026-06-01T12:00:00Z');
const NAME = 'metallb-webhook-service.metallb-system.svc';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('DER', () => {
  it('writes lengths in short and long form', () => {
    expect(hex(der.octetString(Buffer.alloc(0x7f))).slice(0, 4)).toBe('047f');
    expect(hex(der.octetString(Buffer.alloc(0x80))).slice(0, 6)).toBe('048180');
    expect(hex(der.octetString(Buffer.alloc(0x1234))).slice(0, 8)).toBe('04821234');
  });

  it('writes integers with a sign bit of their own', () => {
    expect(hex(der.integer(Buffer.from([0])))).toBe('020100');
    expect(hex(der.integer(Buffer.from([0x7f])))).toBe('02017f');
    expect(hex(der.integer(Buffer.from([0x80])))).toBe('02020080');
    expect(hex(der.integer(Buffer.from([0, 0, 1, 0])))).toBe('02020100');
  });

  it('writes object identifiers in base 128', () => {
    expect(hex(der.objectIdentifier('1.2.840.113549.1.1.11'))).toBe('06092a864886f70d01010b');
    expect(hex(der.objectIdentifier('2.5.29.17'))).toBe('0603551d11');
  });

  it('writes times as RFC 5280 wants them', () => {
    expect(der.time(new Date('2049-12-31T23:59:59.999Z')).toString('latin1')).toBe('\x17\x0d491231235959Z');
    expect(der.time(new Date('2050-01-01T00:00:00Z')).toString('latin1')).toBe('\x18\x0f20500101000000Z');
  });
});

describe('certificates', async () => {
  const ca = await issueCa(NOW);
  const server = await issueServer(ca, [NAME, 'localhost'], NOW);
  const [caCert, serverCert] = [new X509Certificate(ca.cert), new X509Certificate(server.cert)];
  const https = createServer({ cert: server.cert, key: server.key }, (_, answer) => answer.end('hello'));
  await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve));
  const { port } = https.address() as AddressInfo;
  afterAll(() => https.close());

  /** The error of the handshake; undefined: the client trusts the server. */
  const handshake = (options: object) =>
    new Promise<string | undefined>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, servername: NAME, ...options });
      socket.once('secureConnect', () => resolve(undefined));
      socket.once('error', (fault: NodeJS.ErrnoException) => resolve(fault.code));
      socket.once('close', () => socket.destroy());
      socket.once('secureConnect', () => socket.destroy());
    });

  it('say who they are, for ten years, with a day for clocks that are late', () => {
    expect(caCert.subject).toBe('O=metallb\nCN=cert');
    expect(caCert.ca).toBe(true);
    expect(serverCert.ca).toBe(false);
    expect(serverCert.subject).toBe(`CN=${NAME}`);
    expect(serverCert.subjectAltName).toBe(`DNS:${NAME}, DNS:localhost`);
    expect(serverCert.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(serverCert.validFromDate).toEqual(new Date('2026-05-31T12:00:00Z'));
    expect(serverCert.validToDate).toEqual(new Date('2036-06-01T12:00:00Z'));
    expect(serverCert.serialNumber).not.toBe(caCert.serialNumber);
  });

  it('are signed by the CA, which signs itself, and match their keys', () => {
    expect(caCert.verify(caCert.publicKey)).toBe(true);
    expect(serverCert.verify(caCert.publicKey)).toBe(true);
    expect(serverCert.checkIssued(caCert)).toBe(true);
    expect(serverCert.checkPrivateKey(createPrivateKey(server.key))).toBe(true);
    expect(caCert.checkPrivateKey(createPrivateKey(ca.key))).toBe(true);
  });

  it('are trusted by who trusts the CA, for these names alone', async () => {
    expect(await handshake({ ca: ca.cert })).toBeUndefined();
    expect(await handshake({ ca: ca.cert, servername: 'localhost' })).toBeUndefined();
    expect(await handshake({ ca: ca.cert, servername: 'other.svc' })).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(await handshake({ ca: [...rootCertificates] })).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    expect(await handshake({ ca: (await issueCa(NOW)).cert })).not.toBeUndefined();
  });

  it('sign themselves where there is no CA', async () => {
    const alone = new X509Certificate((await issueServer(undefined, ['localhost'], NOW)).cert);
    expect(alone.verify(alone.publicKey)).toBe(true);
  });

  it('have a name that is cut where X.520 wants it short, and whole among the alternatives', async () => {
    const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.svc`;
    const cert = new X509Certificate((await issueServer(ca, [long], NOW)).cert);
    expect(cert.subject).toBe(`CN=${long.slice(0, 64)}`);
    expect(cert.checkHost(long)).toBe(long);
  });
});
