// manifests/fairway.yaml on a real API server: it is taken to the letter, changes nothing when it is applied again, and
// gives the two ServiceAccounts exactly the rights that they need. What the rights are good for is told by the stories
// of the processes.

import { expect, it } from 'vitest';
import type { Manifest } from '../interop/manifests.ts';
import { fairway, SYSTEM } from './cluster.ts';
import { clusterStories, useCluster } from './stories.ts';

type Question = readonly [verb: string, resource: string, group?: string, name?: string];

const MAY: Readonly<Record<'controller' | 'speaker', readonly Question[]>> = {
  controller: [
    ['patch', 'services/status'],
    ['watch', 'services'],
    ['watch', 'namespaces'],
    ['list', 'nodes'],
    ['create', 'events'],
    ['create', 'tokenreviews', 'authentication.k8s.io'],
    ['create', 'subjectaccessreviews', 'authorization.k8s.io'],
    ['update', 'validatingwebhookconfigurations', 'admissionregistration.k8s.io', 'metallb-webhook-configuration'],
    ['update', 'customresourcedefinitions', 'apiextensions.k8s.io', 'bgppeers.metallb.io'],
  ],
  speaker: [
    ['watch', 'services'],
    ['watch', 'nodes'],
    ['watch', 'endpointslices', 'discovery.k8s.io'],
    ['create', 'events'],
    ['create', 'tokenreviews', 'authentication.k8s.io'],
  ],
};

/** What a stolen token must not open. */
const MAY_NOT: typeof MAY = {
  controller: [
    ['get', 'secrets'],
    ['list', 'secrets'],
    ['update', 'services'],
    ['delete', 'services'],
    ['patch', 'nodes'],
    ['create', 'pods'],
    ['watch', 'endpointslices', 'discovery.k8s.io'],
    ['update', 'validatingwebhookconfigurations', 'admissionregistration.k8s.io', 'another'],
    ['update', 'customresourcedefinitions', 'apiextensions.k8s.io', 'gateways.gateway.networking.k8s.io'],
  ],
  speaker: [
    ['get', 'secrets'],
    ['patch', 'services/status'],
    ['patch', 'services'],
    ['patch', 'nodes'],
    ['patch', 'nodes/status'],
    ['create', 'pods'],
  ],
};

const questions = (of: typeof MAY) =>
  Object.entries(of).flatMap(([account, list]) =>
    list.map((question) => ({ account, question, text: question.join(' ') })),
  );

clusterStories('manifests/fairway.yaml on a real API server', [], () => {
  const cluster = useCluster(1, async (made) => {
    await made.installCrds();
  });

  const may = async (account: string, [verb, resource, group = '', name]: Question): Promise<boolean> => {
    const [kind, subresource] = resource.split('/');
    const { object } = await cluster.api.call<{ status: { allowed: boolean } }>(
      'POST',
      '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: {
          user: `system:serviceaccount:${SYSTEM}:${account}`,
          groups: ['system:serviceaccounts', `system:serviceaccounts:${SYSTEM}`, 'system:authenticated'],
          resourceAttributes: { verb, resource: kind, subresource, group, name, namespace: '' },
        },
      },
    );
    return object.status.allowed;
  };

  it('is taken without a warning, and again without a change', async () => {
    // without replicas: a Pod that starts meanwhile would change what is compared
    const isWorkload = ({ kind }: Manifest): boolean => kind === 'Deployment' || kind === 'DaemonSet';
    const still = fairway().filter((each) => !isWorkload(each));
    expect(still.length).toBeGreaterThan(20);
    const first = await cluster.api.apply(...still);
    expect(first.flatMap(({ warnings }) => warnings)).toEqual([]);
    // controllers write a status of their own; then only the generation stands still
    const versions = (answers: typeof first) =>
      answers.map(({ object: { kind, metadata } }) => `${kind} ${metadata['generation'] ?? metadata.resourceVersion}`);
    expect(versions(await cluster.api.apply(...still))).toEqual(versions(first));
    const workloads = fairway().filter(isWorkload);
    const answers = await Promise.all(
      workloads.map(({ apiVersion, kind, metadata, ...rest }) => {
        const path = `/apis/apps/v1/namespaces/${SYSTEM}/${kind.toLowerCase()}s/${metadata.name}`;
        const query = '?fieldManager=kubectl&fieldValidation=Strict&dryRun=All';
        return cluster.api.call(
          'PATCH',
          path + query,
          { apiVersion, kind, metadata, ...rest },
          'application/apply-patch+yaml',
        );
      }),
    );
    expect(answers).toHaveLength(2);
    expect(answers.flatMap(({ warnings }) => warnings)).toEqual([]);
  });

  it.each(questions(MAY))('lets the $account $text', async ({ account, question }) => {
    expect(await may(account, question)).toBe(true);
  });

  it.each(questions(MAY_NOT))('does not let the $account $text', async ({ account, question }) => {
    expect(await may(account, question)).toBe(false);
  });
});
