// TLS as MetalLB's flags describe it (Go's names and numbers) in Node's words: minimum version, cipher suites, curves.
// Used by everything that serves HTTPS; the flags are read once, at the start, and a wrong one ends it.

/** What a server's context is made with. */
export interface TlsOptions {
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly ciphers?: string;
  readonly ecdhCurve?: string;
}

export interface TlsFlags {
  /** `VersionTLS12`, `VersionTLS13`; empty: the latter. */
  readonly minVersion: string;
  /** IANA names, separated by commas. */
  readonly cipherSuites: string;
  /** Numbers of the IANA registry "TLS Supported Groups", separated by commas. */
  readonly curves: string;
}

const VERSIONS: Readonly<Record<string, TlsOptions['minVersion']>> = {
  '': 'TLSv1.3',
  VersionTLS12: 'TLSv1.2',
  VersionTLS13: 'TLSv1.3',
};

/** Suites of TLS 1.2 by their IANA names, as OpenSSL calls them; those of 1.3 have one name. */
const SUITES: Readonly<Record<string, string>> = {
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 'ECDHE-ECDSA-AES256-GCM-SHA384',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: 'ECDHE-ECDSA-AES128-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: 'ECDHE-ECDSA-AES128-SHA',
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: 'ECDHE-ECDSA-AES256-SHA',
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 'ECDHE-RSA-AES128-GCM-SHA256',
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: 'ECDHE-RSA-AES256-GCM-SHA384',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-RSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: 'ECDHE-RSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: 'ECDHE-RSA-AES128-SHA256',
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: 'ECDHE-RSA-AES128-SHA',
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: 'ECDHE-RSA-AES256-SHA',
  TLS_RSA_WITH_AES_128_GCM_SHA256: 'AES128-GCM-SHA256',
  TLS_RSA_WITH_AES_256_GCM_SHA384: 'AES256-GCM-SHA384',
  TLS_RSA_WITH_AES_128_CBC_SHA256: 'AES128-SHA256',
  TLS_RSA_WITH_AES_128_CBC_SHA: 'AES128-SHA',
  TLS_RSA_WITH_AES_256_CBC_SHA: 'AES256-SHA',
  TLS_AES_128_GCM_SHA256: 'TLS_AES_128_GCM_SHA256',
  TLS_AES_256_GCM_SHA384: 'TLS_AES_256_GCM_SHA384',
  TLS_CHACHA20_POLY1305_SHA256: 'TLS_CHACHA20_POLY1305_SHA256',
};

const CURVES: ReadonlyMap<number, string> = new Map([
  [23, 'P-256'],
  [24, 'P-384'],
  [25, 'P-521'],
  [29, 'X25519'],
  [4587, 'SecP256r1MLKEM768'],
  [4588, 'X25519MLKEM768'],
  [4589, 'SecP384r1MLKEM1024'],
]);

/** Throws an Error that names the flag and what it may be. */
export function readTlsFlags({ minVersion, cipherSuites, curves }: TlsFlags): TlsOptions {
  const version = Object.hasOwn(VERSIONS, minVersion) ? VERSIONS[minVersion] : undefined;
  if (version === undefined)
    throw new Error(`--tls-min-version ${JSON.stringify(minVersion)}: must be VersionTLS12 or VersionTLS13`);
  const suites = itemsOf(cipherSuites).map(suiteNamed);
  if (suites.length > 0 && version === 'TLSv1.3')
    throw new Error('--tls-cipher-suites: the suites of TLS 1.3 cannot be chosen, set --tls-min-version=VersionTLS12');
  const groups = itemsOf(curves).map(curveNumbered);
  const twice = groups.find((group, at) => groups.indexOf(group) !== at);
  if (twice !== undefined) throw new Error(`--tls-curve-preferences: ${twice} is there twice`);
  return {
    minVersion: version,
    ...(suites.length > 0 && { ciphers: suites.join(':') }),
    ...(groups.length > 0 && { ecdhCurve: groups.join(':') }),
  };
}

function itemsOf(list: string): readonly string[] {
  return list === '' ? [] : list.split(',').map((item) => item.trim());
}

function suiteNamed(name: string): string {
  const suite = Object.hasOwn(SUITES, name) ? SUITES[name] : undefined;
  if (suite === undefined)
    throw new Error(
      `--tls-cipher-suites: no suite ${JSON.stringify(name)}; there are ${Object.keys(SUITES).join(', ')}`,
    );
  return suite;
}

function curveNumbered(text: string): string {
  const curve = /^[1-9]\d{0,4}$/.test(text) ? CURVES.get(Number(text)) : undefined;
  if (curve === undefined)
    throw new Error(
      `--tls-curve-preferences: no curve ${JSON.stringify(text)}; there are ${[...CURVES].map((each) => each.join(' (')).join('), ')})`,
    );
  return curve;
}
