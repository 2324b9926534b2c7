// Layer 2 on a real cluster, from a Service to a MAC on the LAN: one node answers, and what users read of it is true; it
// moves when the node dies, and ends when nothing asks for it any more.

import { expect } from 'vitest';
import { throughout, until } from '../interop/process.ts';
import { placeOf, SYSTEM } from './cluster.ts';
import { eventsOf, podsOf, restart, untilAddresses, untilReady } from './fairway.ts';
import {
  LAN,
  l2Advertisement,
  l2Statuses,
  lanPool,
  layer2Reason,
  metricOf,
  nodeAnswering,
  stateOf,
  untilAnswered,
  untilL2Statuses,
  untilReason,
  untilSilent,
} from './lan.ts';
import { EXCLUDED, nodeObject } from './routing.ts';
import { clusterStories, layer2Story, useFairway } from './stories.ts';
import { fetchFrom, loadBalancer, serve } from './workload.ts';

const DUAL = { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv4', 'IPv6'] } as const;
const BOTH = [LAN.ipv4, LAN.ipv6];
const EXCLUDE = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'metallb-excludel2', namespace: SYSTEM } };

const listOf = (names: readonly string[]) => ({
  'excludel2.yaml': `announcedInterfacesToExclude: ${JSON.stringify(names)}\n`,
});

clusterStories('layer 2', [], () => {
  const cluster = useFairway(3, { prepare: async (made) => void (await made.startProxies()) });
  // each story has Pods of its own: one that is applied while its namesake ends would go with it
  let run = 9;
  const pod = (at: number, nodeName: string) => serve(`web-${run}${at}`, nodeName);

  const story = (name: string, tell: () => Promise<void>) =>
    layer2Story(cluster, name, () => {
      run++;
      return tell();
    });
  const others = (name: string) => cluster.nodes.filter((each) => each !== name);
  const announced = (name: string, ip: string) =>
    metricOf(cluster, name, `metallb_speaker_announced{service="app/web",protocol="layer2",node="${name}",ip="${ip}"}`);

  story('one node answers for both families, and object, Event, state and metrics say so', async () => {
    const web = loadBalancer('web', DUAL);
    await cluster.api.apply(lanPool(), l2Advertisement('main'), web, pod(1, 'n1'), pod(2, 'n2'));
    await untilAddresses(cluster, web, ...BOTH);
    const owner = await untilAnswered(cluster, BOTH);
    await until(
      'the client is answered',
      () =>
        Object.keys(fetchFrom(cluster, LAN.ipv4, 20))
          .sort()
          .join() === `web-${run}1,web-${run}2`,
    );

    await untilL2Statuses(cluster, 'web', owner);
    const [object] = await l2Statuses(cluster, 'web');
    expect(object?.metadata.name).toMatch(/^l2-/);
    expect(object?.metadata).toMatchObject({
      labels: { 'metallb.io/node': owner, 'metallb.io/service-name': 'web', 'metallb.io/service-namespace': 'app' },
      ownerReferences: [{ kind: 'Pod' }],
    });
    expect(object?.status).toEqual({ node: owner, serviceName: 'web', serviceNamespace: 'app' });

    const told = async () => (await eventsOf(cluster, web)).filter(({ reason }) => reason === 'nodeAssigned');
    await until('the Event is there', async () => (await told()).length > 0);
    expect(await told()).toMatchObject([
      { message: `announcing from node "${owner}" with protocol "layer2"`, source: { component: 'metallb-speaker' } },
    ]);
    for (const ip of BOTH) {
      expect(announced(owner, ip)).toBe(1);
      const series = ['requests_received', 'responses_sent', 'gratuitous_sent'].map(
        (name) => `metallb_layer2_${name}{ip="${ip}"}`,
      );
      const counted = () => series.map((each) => metricOf(cluster, owner, each));
      // one that it knew from an announcement did not have to ask
      await until(`requests for ${ip} are counted`, () => {
        nodeAnswering(cluster, ip);
        if (counted().some((count) => count === undefined)) throw new Error(`${counted()}`);
        return true;
      });
      for (const other of others(owner)) expect([other, announced(other, ip)]).toEqual([other, undefined]);
    }
    const state = stateOf(cluster, owner);
    expect(
      state.layer2.claims
        .filter(({ state: is }) => is === 'owner')
        .map(({ ip }) => ip)
        .sort(),
    ).toEqual([...BOTH].sort());
    const segment = state.layer2.segments.find((each) => each.interface === 'eth0');
    expect(segment?.speakers.filter(({ heard }) => heard)).toHaveLength(2);
    for (const other of others(owner)) expect(layer2Reason(cluster, other, 'web')).toBe('notOwner');
  });

  story('a node is switched off: another answers, and the status follows; back again, nothing moves', async () => {
    const web = loadBalancer('web');
    await cluster.api.apply(lanPool(), l2Advertisement('main'), web, pod(1, 'n1'), pod(2, 'n2'), pod(3, 'n3'));
    const owner = await untilAnswered(cluster, [LAN.ipv4]);
    await untilL2Statuses(cluster, 'web', owner);
    const number = Number(owner.slice(1));
    await cluster.kubelet.cutPower(number);
    cluster.lab.ip('sw', `link set ${placeOf(owner)} down`);
    let next = '';
    try {
      next = await untilAnswered(cluster, [LAN.ipv4], others(owner));
      await untilL2Statuses(cluster, 'web', next);
      expect(announced(next, LAN.ipv4)).toBe(1);
    } finally {
      cluster.lab.ip('sw', `link set ${placeOf(owner)} up`);
      cluster.kubelet.switchOn(number);
    }
    await untilReady(cluster);
    await untilReason(cluster, owner, 'web', 'notOwner');
    await throughout('it stays', 3_000, () => nodeAnswering(cluster, LAN.ipv4) === next);
    await untilL2Statuses(cluster, 'web', next);
  });

  story(
    'a node dies while the API server is away: another answers all the same, and the status follows later',
    async () => {
      const web = loadBalancer('web');
      await cluster.api.apply(lanPool(), l2Advertisement('main'), web, pod(1, 'n1'), pod(2, 'n2'), pod(3, 'n3'));
      const owner = await untilAnswered(cluster, [LAN.ipv4]);
      await untilL2Statuses(cluster, 'web', owner);
      await cluster.control.stopApiServer('SIGKILL');
      let next = '';
      try {
        await cluster.kubelet.cutPower(Number(owner.slice(1)));
        cluster.lab.ip('sw', `link set ${placeOf(owner)} down`);
        next = await untilAnswered(cluster, [LAN.ipv4], others(owner));
        expect(announced(next, LAN.ipv4)).toBe(1);
      } finally {
        cluster.control.startApiServer();
        await cluster.control.untilReady();
      }
      try {
        await untilL2Statuses(cluster, 'web', next);
      } finally {
        cluster.lab.ip('sw', `link set ${placeOf(owner)} up`);
        cluster.kubelet.switchOn(Number(owner.slice(1)));
        await untilReady(cluster);
      }
    },
  );

  story('without its L2Advertisement an address is silent, and so it is without a pod', async () => {
    const web = loadBalancer('web');
    await cluster.api.apply(lanPool(), l2Advertisement('main'), web, pod(1, 'n1'));
    const owner = await untilAnswered(cluster, [LAN.ipv4]);
    await cluster.api.remove(l2Advertisement('main'));
    await untilSilent(cluster, LAN.ipv4);
    await untilL2Statuses(cluster, 'web');
    expect(announced(owner, LAN.ipv4)).toBeUndefined();
    await cluster.api.apply(l2Advertisement('main'));
    await untilAnswered(cluster, [LAN.ipv4]);
    await cluster.api.remove(pod(1, 'n1'));
    await untilSilent(cluster, LAN.ipv4);
    await untilL2Statuses(cluster, 'web');
  });

  story('with the Local policy only a node with a pod answers; the address moves with the pod', async () => {
    const web = loadBalancer('web', { externalTrafficPolicy: 'Local' });
    await cluster.api.apply(lanPool(), l2Advertisement('main'), web, pod(1, 'n2'));
    await untilAnswered(cluster, [LAN.ipv4], ['n2']);
    await untilL2Statuses(cluster, 'web', 'n2');
    await cluster.api.apply(pod(2, 'n3'));
    await throughout('nothing moves', 2_000, () => nodeAnswering(cluster, LAN.ipv4) === 'n2');
    await cluster.api.remove(pod(1, 'n2'));
    await untilAnswered(cluster, [LAN.ipv4], ['n3']);
    await untilL2Statuses(cluster, 'web', 'n3');
  });

  story(
    'nodeSelectors and interfaces decide who answers and where; an interface that is not there is told',
    async () => {
      const web = loadBalancer('web');
      const onN3 = { nodeSelectors: [{ matchLabels: { 'kubernetes.io/hostname': 'n3' } }] };
      await cluster.api.apply(lanPool(), l2Advertisement('main', { ...onN3, interfaces: ['eth0'] }), web, pod(1, 'n1'));
      await untilAnswered(cluster, [LAN.ipv4], ['n3']);
      await untilL2Statuses(cluster, 'web', 'n3');
      const names = async () => (await l2Statuses(cluster, 'web')).map(({ status }) => status?.interfaces);
      await until('the interface is named', async () => JSON.stringify(await names()) === '[[{"name":"eth0"}]]');
      expect(layer2Reason(cluster, 'n1', 'web')).toBe('noMatchingAdvertisement');
      await cluster.api.apply(l2Advertisement('main', { ...onN3, interfaces: ['eth9'] }));
      await untilSilent(cluster, LAN.ipv4);
      const failed = async () => (await eventsOf(cluster, web)).filter(({ reason }) => reason === 'announceFailed');
      await until('the Event is there', async () => (await failed()).length > 0);
      const message = `the interfaces specified by LB IP "${LAN.ipv4}" doesn't exist in assigned node "n3" with protocol "layer2"`;
      expect(await failed()).toMatchObject([{ type: 'Warning', message }]);
      expect(layer2Reason(cluster, 'n3', 'web')).toBe('noInterface');
    },
  );

  story(
    'a machine that has the address already keeps it, and its MAC is told; gone, the address is answered for',
    async () => {
      cluster.lab.ip('r', `addr add ${LAN.ipv4}/32 dev eth0`);
      const mac = JSON.parse(cluster.lab.run('r', ['ip', '-j', 'link', 'show', 'dev', 'eth0']))[0].address;
      const web = loadBalancer('web');
      const conflicts = async () => (await eventsOf(cluster, web)).filter(({ reason }) => reason === 'AddressConflict');
      try {
        await cluster.api.apply(lanPool(), l2Advertisement('main'), web, pod(1, 'n1'));
        await until('the Event is there', async () => (await conflicts()).length > 0, 20_000);
        expect((await conflicts())[0]).toMatchObject({ type: 'Warning', message: expect.stringContaining(mac) });
        const reasons = cluster.nodes.map((name) => layer2Reason(cluster, name, 'web'));
        expect(reasons).toContain('stranger');
        await untilL2Statuses(cluster, 'web');
      } finally {
        cluster.lab.ip('r', `addr del ${LAN.ipv4}/32 dev eth0`);
      }
      await untilAnswered(cluster, [LAN.ipv4]);
    },
  );

  story('speakers that restart find their statuses again, and that is no news', async () => {
    const web = loadBalancer('web');
    const onN2 = { nodeSelectors: [{ matchLabels: { 'kubernetes.io/hostname': 'n2' } }] };
    await cluster.api.apply(lanPool(), l2Advertisement('main', onN2), web, pod(1, 'n1'));
    const owner = await untilAnswered(cluster, [LAN.ipv4]);
    await untilL2Statuses(cluster, 'web', owner);
    const objects = async () =>
      (await l2Statuses(cluster, 'web')).map(({ metadata }) => [
        metadata.name,
        metadata.uid,
        metadata['resourceVersion'],
      ]);
    const news = async () =>
      (await eventsOf(cluster, web)).filter(({ reason }) => reason === 'nodeAssigned').map(({ count }) => count);
    await until('the Event is there', async () => (await news()).length > 0);
    const before = [await objects(), await news()];
    await restart(cluster, 'speaker', 'SIGKILL');
    expect(await untilAnswered(cluster, [LAN.ipv4])).toBe(owner);
    await throughout(
      'nothing is written',
      6_000,
      async () => JSON.stringify([await objects(), await news()]) === JSON.stringify(before),
    );
  });

  story('a node that is labelled to be left out gives its addresses to another', async () => {
    const web = loadBalancer('web');
    await cluster.api.apply(lanPool(), l2Advertisement('main'), web, pod(1, 'n1'));
    const owner = await untilAnswered(cluster, [LAN.ipv4]);
    await untilL2Statuses(cluster, 'web', owner);
    try {
      await cluster.api.patch(nodeObject(owner), { metadata: { labels: { [EXCLUDED]: '' } } });
      const next = await untilAnswered(cluster, [LAN.ipv4], others(owner));
      await untilL2Statuses(cluster, 'web', next);
    } finally {
      await cluster.api.patch(nodeObject(owner), { metadata: { labels: { [EXCLUDED]: null } } });
    }
  });

  story('what a speaker of MetalLB may answer for is left to it, and taken when the last one is gone', async () => {
    // as its DaemonSet has it: the same labels, and no annotation of ours; with an owner, or our DaemonSet would adopt it
    const { uid } = (await cluster.api.read(EXCLUDE)).metadata;
    const owners = [{ apiVersion: 'v1', kind: 'ConfigMap', name: EXCLUDE.metadata.name, uid, controller: true }];
    const labels = { app: 'metallb', component: 'speaker' };
    const metadata = { name: 'metallb-speaker', namespace: SYSTEM, labels, ownerReferences: owners };
    const metallb = { ...serve('metallb-speaker', 'n2'), metadata };
    const web = loadBalancer('web');
    await cluster.api.apply(lanPool(), l2Advertisement('main'), web, pod(1, 'n1'));
    const owner = await untilAnswered(cluster, [LAN.ipv4]);
    try {
      await cluster.api.apply(metallb);
      await untilSilent(cluster, LAN.ipv4);
      await untilReason(cluster, owner, 'web', 'leftToMetalLB');
      await untilL2Statuses(cluster, 'web');
    } finally {
      await cluster.api.remove(metallb);
    }
    await untilAnswered(cluster, [LAN.ipv4]);
  });

  story('an excluded interface answers for nothing', async () => {
    const before = await cluster.api.read<typeof EXCLUDE & { data: object }>(EXCLUDE);
    const renew = async (data: object): Promise<void> => {
      await cluster.api.patch(EXCLUDE, { data });
      const old = (await podsOf(cluster, 'speaker')).map(({ metadata }) => metadata.name);
      await cluster.api.remove(...(await podsOf(cluster, 'speaker')));
      const isNew = async () =>
        (await podsOf(cluster, 'speaker')).filter(({ metadata }) => !old.includes(metadata.name)).length === old.length;
      await until('the speakers are others', isNew, 40_000);
      await untilReady(cluster);
    };
    await cluster.api.apply(lanPool(), l2Advertisement('main'), loadBalancer('web'), pod(1, 'n1'));
    await untilAnswered(cluster, [LAN.ipv4]);
    try {
      await renew(listOf(['^eth.*', '^veth.*', '^lo$']));
      await untilSilent(cluster, LAN.ipv4);
      await until('no interface serves', () =>
        cluster.nodes.every((name) => layer2Reason(cluster, name, 'web') !== ''),
      );
      await untilL2Statuses(cluster, 'web');
    } finally {
      await renew(before.data);
    }
    await untilAnswered(cluster, [LAN.ipv4]);
  });
});
