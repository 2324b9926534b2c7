// What the whole speaker holds, as in a pod: 1,000 Services of a real API server, each announced by BGP and answered for on a
// real interface by the packet thread. The speaker, the API server and the BGP peer are in a node's network namespace, for
// layer 2 uses the interfaces that it finds: the bench of the speaker runs this program there, and reads its exit code.

import type { ChildProcess } from 'node:child_process';
import { Api } from '../src/k8s/api.ts';
import { openCluster } from '../src/k8s/cluster.ts';
import { type Kind, L2_ADVERTISEMENTS, PODS } from '../src/k8s/kind.ts';
import { OURS } from '../src/k8s/speaker-pods.ts';
import { LoopbackApi } from '../test/cluster/loopback.ts';
import { node } from '../test/interop/lab.ts';
import { until } from '../test/interop/process.ts';
import { freePeerPort } from '../test/io/sockets.ts';
import { inParallel, NAMESPACE, scrape, scrapeText, startInPod, stop, untilWritten } from './pod.ts';
import { Sink } from './sink.ts';
import { configure, ROUTER_AS, row, serve } from './speaker.ts';

const SERVICES = 1_000;
const POD = 'speaker-n1';
const LABELS = { app: 'metallb', component: 'speaker' };
const SERVICE_ACCOUNTS: Kind = { path: 'api/v1', plural: 'serviceaccounts', kind: 'ServiceAccount', namespaced: true };
const ADDRESS = node(1).ipv4;

/** The Pod of the speaker, as our DaemonSet makes it: that it is one of ours says who may answer. */
async function createPod(api: Api): Promise<void> {
  const at = { kind: PODS, namespace: NAMESPACE };
  await api.create({ kind: SERVICE_ACCOUNTS, namespace: NAMESPACE }, { metadata: { name: 'default' } });
  await api.create(at, {
    metadata: { name: POD, labels: LABELS, annotations: { [OURS]: 'v1' } },
    spec: { nodeName: 'n1', hostNetwork: true, containers: [{ name: 'speaker', image: 'fairway/speaker:0.1.0' }] },
  });
  const conditions = [{ type: 'Ready', status: 'True' }];
  const status = { phase: 'Running', podIP: ADDRESS, podIPs: [{ ip: ADDRESS }], conditions };
  await api.mergePatch({ ...at, name: POD, subresource: 'status' }, { status });
}

async function measure(): Promise<boolean> {
  const server = new LoopbackApi();
  const sink = new Sink(ROUTER_AS);
  let running: ChildProcess | undefined;
  try {
    await server.start();
    const api = new Api(await openCluster({ kubeconfig: server.kubeconfig, env: {} }));
    const port = await freePeerPort();
    await sink.listen(port);
    await configure(api, port);
    const advertisement = { apiVersion: 'metallb.io/v1beta1', kind: 'L2Advertisement', metadata: { name: 'main' } };
    await api.create({ kind: L2_ADVERTISEMENTS, namespace: NAMESPACE }, { ...advertisement, spec: {} });
    await createPod(api);
    await inParallel(SERVICES, (i) => serve(api, i));
    const memberlist = [`--ml-bindaddr=${ADDRESS}`, '--ml-labels=app=metallb,component=speaker'];
    running = startInPod(server, 'speaker', [
      '--node-name=n1',
      `--pod-name=${POD}`,
      `--host=${ADDRESS}`,
      ...memberlist,
    ]);
    await until(`${SERVICES} routes`, () => sink.routes === SERVICES, 60_000);
    await untilWritten();
    const answered = (await scrapeText()).match(/^metallb_speaker_announced{.*protocol="layer2"/gm)?.length;
    if (answered !== SERVICES) throw new Error(`${answered} of ${SERVICES} addresses are answered for`);
    const rss = (await scrape())('process_resident_memory_bytes') / 2 ** 20;
    return row(`memory with ${SERVICES} Services, BGP and layer 2, packet thread included`, 'MiB of RSS', [rss], 107);
  } finally {
    if (running !== undefined) await stop(running);
    sink.close();
    await server.stop();
  }
}

process.exitCode = (await measure()) ? 0 : 1;
