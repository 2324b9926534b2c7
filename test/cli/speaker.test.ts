// The speaker's flags: every one of MetalLB's is taken, with its meaning or with a word about why it has none.

import { describe, expect, it } from 'vitest';
import { parseGoFlags } from '../../src/cli/go-flags.ts';
import { SPEAKER_FLAGS, speakerOptions, withoutMeaning } from '../../src/cli/speaker.ts';

type Environment = Readonly<Record<string, string>>;

const optionsOf = (argv: readonly string[], env: Environment = {}, cluster: string | undefined = 'of-the-cluster') =>
  speakerOptions(parseGoFlags(SPEAKER_FLAGS, argv, env), env, cluster);
const meaningless = (argv: readonly string[], env: Environment = {}) =>
  withoutMeaning(parseGoFlags(SPEAKER_FLAGS, argv, env), env).map(({ what }) => what);

/** MetalLB's flags and variables, transcribed from its documentation, each with a value that it takes. */
const FLAGS = [
  '--port=0',
  '--namespace=metallb-system',
  '--log-level=debug',
  '--pprof-bind-address=:6060',
  '--health-probe-port=17473',
  '--lb-class=fairway',
  '--pod-name=speaker-x',
  '--tls-min-version=VersionTLS12',
  '--tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
  '--tls-curve-preferences=29,4588',
  '--metrics-cert-dir=/certs',
  '--node-name=n1',
  '--host=192.0.2.1',
  '--ml-bindaddr=192.0.2.1',
  '--ml-bindport=7946',
  '--ml-labels=app=metallb,component=speaker',
  '--ml-secret-key-path=/etc/ml_secret_key',
  '--ml-wan-config=true',
  '--ignore-exclude-lb=true',
  '--bgp-debounce-timeout=3000',
  '--frrk8s-namespace=frr-k8s-system',
  '--frrk8s-secret-passthrough=true',
];
const ENVIRONMENT = {
  METALLB_NAMESPACE: 'metallb-system',
  METALLB_POD_NAME: 'speaker-x',
  METALLB_NODE_NAME: 'n1',
  METALLB_HOST: '192.0.2.1',
  METALLB_ML_BIND_ADDR: '192.0.2.1',
  METALLB_ML_BIND_PORT: '7946',
  METALLB_ML_LABELS: 'app=metallb,component=speaker',
  METALLB_ML_SECRET_KEY_PATH: '/etc/ml_secret_key',
  METALLB_BGP_DEBOUNCE_TIMEOUT: '3000',
  METALLB_BGP_TYPE: 'frr-k8s',
  FRRK8S_NAMESPACE: 'frr-k8s-system',
  FRR_CONFIG_FILE: '/etc/frr_reloader/frr.conf',
  FRR_RELOADER_PID_FILE: '/etc/frr_reloader/reloader.pid',
  FRR_LOGGING_LEVEL: 'debugging',
};

describe('flags of MetalLB', () => {
  it('are all taken, those that mean something with their meaning', () => {
    expect(optionsOf(FLAGS, { METALLB_BGP_TYPE: 'frr-k8s' })).toMatchObject({
      ...{ node: 'n1', namespace: 'metallb-system', bgpType: 'frr-k8s', frrK8sNamespace: 'frr-k8s-system' },
      settings: { loadBalancerClass: 'fairway', ignoreExcludeLabel: true },
      ports: { metrics: 0, health: 17473 },
      tls: { minVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256', ecdhCurve: 'X25519:X25519MLKEM768' },
      ...{ metricsCertificates: '/certs', pod: 'speaker-x', listen: [] },
      memberlist: { labels: 'app=metallb,component=speaker', port: 7946, secretFolder: '/etc/ml_secret_key' },
    });
  });

  it('may come from the environment where MetalLB looks there', () => {
    expect(optionsOf([], ENVIRONMENT)).toMatchObject({
      ...{ node: 'n1', namespace: 'metallb-system', bgpType: 'frr-k8s', frrK8sNamespace: 'frr-k8s-system' },
      ...{ pod: 'speaker-x', ports: { metrics: 9120, health: 17472 } },
      memberlist: { labels: 'app=metallb,component=speaker', port: 7946, secretFolder: '/etc/ml_secret_key' },
    });
  });

  it('have MetalLB defaults', () => {
    expect(optionsOf(['--node-name=n1'])).toMatchObject({
      ...{ namespace: 'of-the-cluster', bgpType: 'unset', frrK8sNamespace: 'of-the-cluster', pod: undefined },
      settings: { ignoreExcludeLabel: false },
      ...{ ports: { metrics: 9120, health: 17472 }, tls: { minVersion: 'TLSv1.3' }, metricsCertificates: '' },
      layer2: {
        ...{ announcements: { framesPerSecond: 500, refreshMs: 60_000 }, conflict: 'refuse', failbackMs: 120_000 },
      },
    });
  });

  it('of the memberlist switch liveness on only together, as in MetalLB', () => {
    const memberlist = (...argv: readonly string[]) => optionsOf(['--node-name=n1', ...argv]).memberlist;
    expect(memberlist()).toBeUndefined();
    expect(memberlist('--ml-labels=app=x')).toBeUndefined();
    expect(memberlist('--ml-bindaddr=192.0.2.1')).toBeUndefined();
    expect(memberlist('--ml-labels=app=x', '--ml-bindaddr=192.0.2.1', '--ml-bindport=7947')).toEqual({
      ...{ labels: 'app=x', port: 7947 },
    });
  });

  it('of ours for layer 2 say how long and how much', () => {
    const argv = ['--l2-conflict=warn', '--l2-failback=never', '--l2-refresh=30', '--l2-frames-per-second=50'];
    expect(optionsOf(['--node-name=n1', ...argv]).layer2).toMatchObject({
      ...{ conflict: 'warn', failbackMs: Number.POSITIVE_INFINITY },
      announcements: { framesPerSecond: 50, refreshMs: 30_000 },
    });
    expect(optionsOf(['--node-name=n1', '--l2-failback=0', '--l2-refresh=never']).layer2).toMatchObject({
      ...{ failbackMs: 0, announcements: { refreshMs: Number.POSITIVE_INFINITY } },
    });
  });

  it('that have no meaning here are named, in one line where they are about one thing', () => {
    expect(meaningless(FLAGS)).toEqual([
      '--pprof-bind-address',
      '--ml-wan-config',
      '--bgp-debounce-timeout',
      '--frrk8s-secret-passthrough',
    ]);
    expect(meaningless([], ENVIRONMENT)).toEqual([
      '--bgp-debounce-timeout',
      'FRR_CONFIG_FILE, FRR_RELOADER_PID_FILE, FRR_LOGGING_LEVEL',
    ]);
    expect(meaningless(['--node-name=n1', '--host=192.0.2.1', '--ml-wan-config=false'])).toEqual([]);
  });

  it.each<[why: RegExp, argv: readonly string[], env?: Environment]>([
    [/--node-name or METALLB_NODE_NAME/, []],
    [/METALLB_BGP_TYPE is "bird"/, ['--node-name=n1'], { METALLB_BGP_TYPE: 'bird' }],
    [/--bgp-debounce-timeout 0: /, ['--node-name=n1', '--bgp-debounce-timeout=0']],
    [/--bgp-debounce-timeout soon: /, ['--node-name=n1'], { METALLB_BGP_DEBOUNCE_TIMEOUT: 'soon' }],
    [/--frrk8s-secret-passthrough is for/, ['--node-name=n1', '--frrk8s-secret-passthrough', '--frrk8s-namespace=x']],
    [/needs --frrk8s-namespace/, ['--node-name=n1', '--frrk8s-secret-passthrough'], { METALLB_BGP_TYPE: 'frr-k8s' }],
    [/--tls-min-version "VersionTLS10"/, ['--node-name=n1', '--tls-min-version=VersionTLS10']],
    [/ADDRESS:PORT/, ['--node-name=n1', '--bgp-listen=179']],
    [/--ml-bindport 70000: must be a port/, ['--node-name=n1', '--ml-bindport=70000']],
    [/--ml-bindport x: must be a port/, ['--node-name=n1'], { METALLB_ML_BIND_PORT: 'x' }],
    [/--l2-conflict defend: must be refuse or warn/, ['--node-name=n1', '--l2-conflict=defend']],
    [/--l2-failback soon: must be seconds \(0 to \d+\) or never/, ['--node-name=n1', '--l2-failback=soon']],
    [/--l2-failback -1: /, ['--node-name=n1', '--l2-failback=-1']],
    [/--l2-refresh 0: must be seconds \(1 to /, ['--node-name=n1', '--l2-refresh=0']],
    [/--l2-frames-per-second 0: must be 1 to 100000/, ['--node-name=n1', '--l2-frames-per-second=0']],
  ])('that contradict each other or make no sense are refused: %s', (why, argv, env) => {
    expect(() => optionsOf(argv, env)).toThrow(why);
  });

  it('need a namespace from somewhere', () => {
    expect(() => speakerOptions(parseGoFlags(SPEAKER_FLAGS, ['--node-name=n1'], {}), {}, undefined)).toThrow(
      'Set --namespace or METALLB_NAMESPACE',
    );
  });
});
