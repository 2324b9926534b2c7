// The Helm chart as `helm template` renders it: MetalLB's values, names, labels and refusals; the rights, the CRDs and the alerts
// are held against those of the plain manifests. Skipped without helm. A real API server takes it in test/cluster.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CONTROLLER_FLAGS } from '../../src/cli/controller.ts';
import { parseGoFlags } from '../../src/cli/go-flags.ts';
import { readLayer2Settings } from '../../src/cli/layer2-flags.ts';
import { SPEAKER_FLAGS } from '../../src/cli/speaker.ts';
import {
  type AlertRules,
  chart,
  fairway,
  find,
  keyOf,
  MANIFESTS,
  objectsOf,
  sorted,
  type Webhooks,
  type Workload,
} from './objects.ts';
import { find as findTool, run } from './tools.ts';

const folder = join(MANIFESTS, 'helm/fairway');
const speakerOf = (objects: ReturnType<typeof chart>, release = 'metallb') =>
  find<Workload>(objects, 'DaemonSet', `${release}-speaker`).spec.template.spec;
const controllerOf = (objects: ReturnType<typeof chart>, release = 'metallb') =>
  find<Workload>(objects, 'Deployment', `${release}-controller`).spec.template.spec;
const environmentOf = ({ containers }: Workload['spec']['template']['spec']) =>
  Object.fromEntries((containers[0]?.env ?? []).map(({ name, value }) => [name, value ?? 'field']));

describe.skipIf(findTool('helm') === undefined)('the chart (needs helm)', () => {
  const plain = chart('metallb');

  it('is clean to helm lint, and has the version of package.json', () => {
    expect(run('helm', ['lint', folder])).toContain('0 chart(s) failed');
    const { version } = JSON.parse(readFileSync(join(MANIFESTS, '../package.json'), 'utf8'));
    const text = readFileSync(join(folder, 'Chart.yaml'), 'utf8');
    expect(text).toContain(`\nversion: ${version}\nappVersion: ${version}\n`);
    expect(controllerOf(plain).containers[0]?.image).toBe(`fairway/controller:${version}`);
    expect(speakerOf(plain).containers[0]?.image).toBe(`fairway/speaker:${version}`);
  });

  it('needs the Kubernetes that the guide says, and helm refuses an older one', () => {
    const guide = readFileSync(join(MANIFESTS, '../docs/install.md'), 'utf8');
    const [, oldest] = /It needs Kubernetes (1\.\d+) or later/.exec(guide) ?? [];
    const [, minor = 0] = (oldest ?? '').split('.').map(Number);
    const template = (version: string) => run('helm', ['template', 'metallb', folder, '--kube-version', version]);
    expect(() => template(`1.${minor - 1}.9`)).toThrow('incompatible with Kubernetes');
    expect(template(`1.${minor}.0-gke.1`)).toContain('kind: DaemonSet');
  });

  it('has the objects of the plain manifests under its own names, and nothing else', () => {
    const renamed = (key: string): string =>
      key
        .replaceAll('metallb-system:', 'metallb:')
        .replaceAll('metallb-system ', 'lb ')
        .replace(/ (controller|speaker|pod-lister)$/, ' metallb-$1');
    const expected = fairway().map((object) => renamed(keyOf(object)));
    // the namespace is helm's to make
    expect(plain.map(keyOf).toSorted()).toEqual(
      expected.filter((key) => key !== 'Namespace metallb-system').toSorted(),
    );
  });

  it('has MetalLB’s names and labels, also where the release is not called after it', () => {
    for (const [release, prefix] of [
      ['metallb', 'metallb'],
      ['my-metallb', 'my-metallb'],
      ['edge', 'edge-metallb'],
    ] as const) {
      for (const [kind, process] of [
        ['Deployment', 'controller'],
        ['DaemonSet', 'speaker'],
      ] as const) {
        const { spec, metadata } = find<Workload>(chart(release), kind, `${prefix}-${process}`);
        const selector = {
          'app.kubernetes.io/name': 'metallb',
          'app.kubernetes.io/instance': release,
          'app.kubernetes.io/component': process,
        };
        expect(spec.selector.matchLabels).toEqual(selector);
        expect(spec.template.metadata.labels).toEqual(selector);
        expect(spec.template.metadata.annotations).toEqual({ [`fairway/${process}`]: 'v1' });
        expect(metadata['labels']).toEqual({
          ...selector,
          'helm.sh/chart': 'fairway-0.1.0',
          'app.kubernetes.io/version': '0.1.0',
          'app.kubernetes.io/managed-by': 'Helm',
        });
        expect(spec.template.spec.terminationGracePeriodSeconds).toBe(10);
      }
    }
  });

  it('gives the rights of the plain manifests, to the names of the release', () => {
    const own = chart('edge');
    const rulesOf = (objects: ReturnType<typeof chart>, kind: string, name: string): string =>
      JSON.stringify(find(objects, kind, name)['rules']);
    for (const [kind, plainName, name] of [
      ['ClusterRole', 'metallb-system:controller', 'edge-metallb:controller'],
      ['ClusterRole', 'metallb-system:speaker', 'edge-metallb:speaker'],
      ['Role', 'controller', 'edge-metallb-controller'],
      ['Role', 'speaker', 'edge-metallb-speaker'],
      ['Role', 'pod-lister', 'edge-metallb-pod-lister'],
    ] as const) {
      const expected = rulesOf(fairway(), kind, plainName)
        .replace('"resourceNames":["controller"]', '"resourceNames":["edge-metallb-controller"]')
        .replace('"resourceNames":["memberlist"]', '"resourceNames":["edge-metallb-memberlist"]');
      expect(JSON.parse(rulesOf(own, kind, name))).toEqual(JSON.parse(expected));
    }
    const { containers } = controllerOf(own, 'edge-metallb');
    expect(containers[0]?.env.slice(1, 3)).toEqual([
      { name: 'METALLB_ML_SECRET_NAME', value: 'edge-metallb-memberlist' },
      { name: 'METALLB_DEPLOYMENT', value: 'edge-metallb-controller' },
    ]);
  });

  it('brings the CRDs, converted by the webhook of its own namespace, unless they are not wanted', () => {
    const crds = (objects: ReturnType<typeof chart>) =>
      sorted(objects.filter(({ kind }) => kind.endsWith('Definition')));
    const moved = JSON.stringify(crds(fairway())).replaceAll('"namespace":"metallb-system"', '"namespace":"lb"');
    expect(crds(plain)).toEqual(JSON.parse(moved));
    expect(crds(chart('metallb', 'crds.enabled=false'))).toEqual([]);
  });

  it('has Helm’s name of the webhook of peers, and the failure policy that is asked for', () => {
    const of = (...values: readonly string[]) =>
      find<Webhooks>(chart('metallb', ...values), 'ValidatingWebhookConfiguration', 'metallb-webhook-configuration');
    const { webhooks } = of('crds.validationFailurePolicy=Ignore');
    expect(webhooks.map(({ name }) => name)).toEqual([
      'bgppeervalidationwebhook.metallb.io',
      'bfdprofilevalidationwebhook.metallb.io',
      'bgpadvertisementvalidationwebhook.metallb.io',
      'communityvalidationwebhook.metallb.io',
      'ipaddresspoolvalidationwebhook.metallb.io',
      'l2advertisementvalidationwebhook.metallb.io',
    ]);
    expect(new Set(webhooks.map(({ failurePolicy }) => failurePolicy))).toEqual(new Set(['Ignore']));
    expect(new Set(webhooks.map(({ clientConfig }) => clientConfig.service.namespace))).toEqual(new Set(['lb']));
    const disabled = chart('metallb', 'controller.webhookMode=disabled');
    expect(disabled.filter(({ kind }) => kind === 'ValidatingWebhookConfiguration')).toEqual([]);
    expect(controllerOf(disabled).containers[0]?.args).toContain('--webhook-mode=disabled');
  });

  it('passes values on as MetalLB’s flags', () => {
    const objects = chart(
      'metallb',
      'loadBalancerClass=example.com/lb',
      'tls.minVersion=VersionTLS12',
      'tls.cipherSuites=TLS_AES_128_GCM_SHA256',
      'tls.controllerMetricsTLSSecret=metrics',
      'prometheus.metricsPort=7472',
      'controller.logLevel=debug',
      'controller.livenessProbe.port=8080',
      'speaker.ignoreExcludeLB=true',
      'speaker.logLevel=all',
    );
    const both = ['--port=7472', '--lb-class=example.com/lb', '--tls-min-version=VersionTLS12'];
    both.push('--tls-cipher-suites=TLS_AES_128_GCM_SHA256');
    const controller = controllerOf(objects).containers[0]?.args ?? [];
    const speaker = speakerOf(objects).containers[0]?.args ?? [];
    for (const flag of both) expect([controller.includes(flag), speaker.includes(flag)]).toEqual([true, true]);
    expect(controller).toContain('--log-level=debug');
    expect(controller).toContain('--health-probe-port=8080');
    expect(controller).toContain('--metrics-cert-dir=/etc/metrics');
    expect(controller).toContain('--webhook-mode=enabled');
    expect(speaker).toContain('--log-level=all');
    expect(speaker).toContain('--ignore-exclude-lb');
    expect(speaker).not.toContain('--metrics-cert-dir=/etc/metrics');
    // and both processes take them
    expect(parseGoFlags(CONTROLLER_FLAGS, controller, {})).toMatchObject({ port: 7472, 'lb-class': 'example.com/lb' });
    expect(parseGoFlags(SPEAKER_FLAGS, speaker, {})).toMatchObject({ 'ignore-exclude-lb': true });
  });

  it('selects the mode of the rules as MetalLB’s values do', () => {
    const typeOf = (...values: readonly string[]) => {
      const objects = chart('metallb', ...values);
      const types = [controllerOf(objects), speakerOf(objects)].map((pod) => environmentOf(pod)['METALLB_BGP_TYPE']);
      expect(types[0]).toBe(types[1]);
      return types[0];
    };
    expect(typeOf()).toBe('frr-k8s');
    expect(typeOf('frrk8s.enabled=false')).toBe(undefined);
    expect(typeOf('frrk8s.enabled=false', 'speaker.frr.enabled=true')).toBe('frr');
    expect(typeOf('frrk8s.enabled=false', 'frrk8s.external=true', 'frrk8s.namespace=frr')).toBe('frr-k8s');
  });

  it('talks to other speakers as the values say', () => {
    const own = chart('metallb', 'speaker.memberlist.mlBindPort=7000', 'speaker.memberlist.mlBindAddrOverride=0.0.0.0');
    expect(environmentOf(speakerOf(own))).toMatchObject({
      METALLB_ML_BIND_ADDR: '0.0.0.0',
      METALLB_ML_BIND_PORT: '7000',
      METALLB_ML_LABELS: 'app.kubernetes.io/name=metallb,app.kubernetes.io/component=speaker',
      METALLB_ML_SECRET_KEY_PATH: '/etc/ml_secret_key',
    });
    const without = chart('metallb', 'speaker.memberlist.enabled=false');
    expect(Object.keys(environmentOf(speakerOf(without))).filter((name) => name.includes('_ML_'))).toEqual([]);
    expect(Object.keys(environmentOf(controllerOf(without))).filter((name) => name.includes('_ML_'))).toEqual([]);
  });

  it('passes on what layer 2 is told, and nothing where nobody says it', () => {
    const argsOf = (...values: readonly string[]) => speakerOf(chart('metallb', ...values)).containers[0]?.args ?? [];
    expect(argsOf().filter((flag) => flag.startsWith('--l2-'))).toEqual([]);
    const layer2 = ['conflict=warn', 'failback=never', 'refresh=30', 'framesPerSecond=50'];
    const args = argsOf(...layer2.map((value) => `speaker.layer2.${value}`));
    expect(readLayer2Settings(parseGoFlags(SPEAKER_FLAGS, args, {}))).toEqual({
      announcements: { framesPerSecond: 50, refreshMs: 30_000 },
      ...{ conflict: 'warn', failbackMs: Number.POSITIVE_INFINITY },
    });
    expect(readLayer2Settings(parseGoFlags(SPEAKER_FLAGS, argsOf('speaker.layer2.failback=0'), {})).failbackMs).toBe(0);
    expect(() => chart('metallb', 'speaker.layer2.conflict=defend')).toThrow(/conflict/);
    expect(speakerOf(plain).priorityClassName).toBe('system-node-critical');
  });

  it('leaves out what is switched off', () => {
    const objects = chart('metallb', 'speaker.enabled=false', 'frrk8s.enabled=false');
    expect(objects.filter(({ metadata }) => /speaker|exclude/.test(metadata.name)).map(keyOf)).toEqual([]);
    expect(environmentOf(controllerOf(objects))).toEqual({ METALLB_POD_NAME: 'field' });
    const unbound = chart('metallb', 'rbac.create=false');
    expect(unbound.filter(({ kind }) => kind.includes('Role'))).toEqual([]);
  });

  it.each([
    ['speaker.frr.enabled and frrk8s.enabled / external are mutually exclusive!', ['speaker.frr.enabled=true']],
    ['frrk8s.enabled and frrk8s.external', ['frrk8s.external=true']],
    ['speaker.enabled', ['speaker.enabled=false']],
    [
      'nodeSelector must be empty when memberlist is disabled',
      ['speaker.memberlist.enabled=false', 'speaker.nodeSelector.a=b'],
    ],
    [
      'prometheus.podMonitor.enabled and prometheus.serviceMonitor.enabled',
      ['prometheus.podMonitor.enabled=true', 'prometheus.serviceMonitor.enabled=true'],
    ],
    ['prometheus.serviceAccount must be set', ['prometheus.podMonitor.enabled=true']],
    ['prometheus.namespace must be set', ['prometheus.serviceMonitor.enabled=true', 'prometheus.serviceAccount=p']],
    ['configInline is not supported', ['configInline.peers=x']],
    ["at '/controller/logLevel': value must be one of", ['controller.logLevel=loud']],
    ["at '/controller/webhookMode': value must be one of", ['controller.webhookMode=maybe']],
    ["at '/crds/validationFailurePolicy': value must be one of", ['crds.validationFailurePolicy=Maybe']],
    ["at '/speaker/memberlist/mlBindPort'", ['speaker.memberlist.mlBindPort=x']],
    ["missing property 'controller'", ['controller=null']],
  ])('refuses with "%s"', (text, values) => {
    expect(() => chart('metallb', ...values)).toThrow(text);
  });

  it.each(['podMonitor', 'serviceMonitor'])('makes a %s for each process, and the rights to use it', (monitor) => {
    const kind = monitor === 'podMonitor' ? 'PodMonitor' : 'ServiceMonitor';
    const objects = chart(
      'metallb',
      `prometheus.${monitor}.enabled=true`,
      'prometheus.serviceAccount=prom',
      'prometheus.namespace=mon',
      `prometheus.${monitor}.interval=15s`,
    );
    const monitors = objects.filter((object) => object.kind === kind);
    expect(monitors).toHaveLength(2);
    for (const { spec } of monitors as readonly { readonly spec?: unknown }[]) {
      const endpoint = {
        port: 'metricshttps',
        scheme: 'https',
        interval: '15s',
        tlsConfig: { insecureSkipVerify: true },
      };
      const endpoints = kind === 'PodMonitor' ? 'podMetricsEndpoints' : 'endpoints';
      expect(spec).toMatchObject({ jobLabel: 'app.kubernetes.io/name', [endpoints]: [endpoint] });
    }
    expect(find(objects, 'RoleBinding', 'metallb-prometheus')['subjects']).toEqual([
      { kind: 'ServiceAccount', name: 'prom', namespace: 'mon' },
    ]);
  });

  it('alerts as the plain rules do, of the jobs of this release', () => {
    const set = [
      'prometheus.prometheusRule.enabled=true',
      'prometheus.prometheusRule.addressPoolUsage.excludePools=a|b',
    ];
    const { spec } = find<AlertRules>(chart('edge', ...set), 'PrometheusRule', 'edge-metallb');
    const [group] = spec.groups;
    expect(group?.name).toBe('edge-metallb.rules');
    const expressions = Object.fromEntries(group?.rules.map(({ alert, expr }) => [alert, expr]) ?? []);
    const total = 'max by (pool) (metallb_allocator_addresses_total';
    const used = 'max by (pool) (metallb_allocator_addresses_in_use_total';
    expect(expressions).toEqual({
      MetalLBStaleConfig: 'metallb_k8s_client_config_stale_bool{job=~"edge-metallb.*|metallb"} == 1',
      MetalLBConfigNotLoaded: 'metallb_k8s_client_config_loaded_bool{job=~"edge-metallb.*|metallb"} == 0',
      MetalLBAddressPoolExhausted: `${used}) >= ${total})`,
      MetalLBAddressPoolUsage75Percent: `${used}{pool!~"a|b"}) / ${total}{pool!~"a|b"}) * 100 > 75`,
      MetalLBAddressPoolUsage85Percent: `${used}{pool!~"a|b"}) / ${total}{pool!~"a|b"}) * 100 > 85`,
      MetalLBAddressPoolUsage95Percent: `${used}{pool!~"a|b"}) / ${total}{pool!~"a|b"}) * 100 > 95`,
      MetalLBBGPSessionDown: 'metallb_bgp_session_up{job=~"edge-metallb.*|metallb"} == 0',
    });
    const own = find<AlertRules>(chart('metallb', set[0] ?? ''), 'PrometheusRule', 'metallb');
    const overlay = readFileSync(join(MANIFESTS, 'overlays/prometheus/rules.yaml'), 'utf8');
    const withoutJobs = JSON.stringify(own.spec).replaceAll('{job=~\\"metallb.*\\"}', '');
    expect(JSON.parse(withoutJobs)).toEqual(
      find<AlertRules>(objectsOf('rules', overlay), 'PrometheusRule', 'metallb').spec,
    );
  });

  it('makes the network policies of the overlay', () => {
    const objects = chart(
      'metallb',
      'networkpolicies.enabled=true',
      'networkpolicies.defaultDeny=true',
      'networkpolicies.apiPort=443',
    );
    expect(find(objects, 'NetworkPolicy', 'default-deny')['spec']).toEqual({
      podSelector: {},
      policyTypes: ['Ingress', 'Egress'],
    });
    expect(find(objects, 'NetworkPolicy', 'controller')['spec']).toMatchObject({
      egress: [{ ports: [{ port: 443 }] }],
    });
    expect(chart('metallb').filter(({ kind }) => kind === 'NetworkPolicy')).toEqual([]);
  });
});
