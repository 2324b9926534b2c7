// One container of a Pod as the command that runs it here: its files, its environment, its user and capabilities, its
// program. What a manifest says is obeyed, so that a right that is missing in it is missing in the tests.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../interop/process.ts';
import type { Api, KubeObject } from './api.ts';

const RUNTIME = join(import.meta.dirname, 'container.sh');
const PROJECT = join(import.meta.dirname, '../..');
/** Where container.sh has the project. */
const PROJECT_INSIDE = '/run/project';
/** Node as a container sees it; npm runs the project's own. */
const NODE_INSIDE = process.execPath.startsWith(`${PROJECT}/`)
  ? `${PROJECT_INSIDE}${process.execPath.slice(PROJECT.length)}`
  : process.execPath;

export interface Pod extends KubeObject {
  readonly spec: {
    readonly nodeName?: string;
    readonly hostNetwork?: boolean;
    readonly serviceAccountName?: string;
    readonly terminationGracePeriodSeconds?: number;
    readonly securityContext?: SecurityContext;
    readonly affinity?: unknown;
    readonly containers: readonly [Container];
    readonly volumes?: readonly Volume[];
  };
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } };
  }[];
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
  readonly readinessProbe?: {
    readonly httpGet?: { readonly path: string; readonly port: number | string; readonly host?: string };
  };
  readonly securityContext?: SecurityContext & {
    readonly readOnlyRootFilesystem?: boolean;
    readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  };
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}

interface SecurityContext {
  readonly runAsUser?: number;
}

interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName: string; readonly defaultMode?: number };
  readonly configMap?: { readonly name: string; readonly defaultMode?: number; readonly optional?: boolean };
}

/** Where the Pod is: what its environment may ask for, and how it reaches the API server. */
export interface Site {
  readonly hostIp: string;
  readonly ips: readonly string[];
  readonly server: { readonly address: string; readonly port: number };
}

/**
 * Writes what container.sh mounts. As a kubelet does, waits for Secrets and ConfigMaps that are not there yet; what
 * changes in them later is not brought into the running container.
 */
export async function writeFiles(api: Api, pod: Pod, folder: string, ca: string): Promise<void> {
  const { name, namespace = 'default', uid } = pod.metadata;
  const token = await api.token(namespace, pod.spec.serviceAccountName ?? 'default', {
    boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
  });
  writeFolder(join(folder, 'account'), { token, namespace, 'ca.crt': ca }, 0o644);
  const [container] = pod.spec.containers;
  const mounts = (container.volumeMounts ?? []).flatMap((mount) => {
    const volume = pod.spec.volumes?.find((each) => each.name === mount.name);
    return volume?.secret === undefined && volume?.configMap === undefined ? [] : [{ ...mount, volume }];
  });
  for (const { volume } of mounts) {
    const { mode, files } = await contents(api, namespace, volume);
    writeFolder(join(folder, 'volumes', volume.name), files, mode);
  }
  writeFileSync(join(folder, 'mounts'), mounts.map((mount) => `${mount.name} ${mount.mountPath}\n`).join(''));
  if (container.securityContext?.readOnlyRootFilesystem) writeFileSync(join(folder, 'read-only'), '');
}

type Files = Readonly<Record<string, string | Buffer>>;

async function contents(api: Api, namespace: string, volume: Volume): Promise<{ mode: number; files: Files }> {
  const { secret, configMap } = volume;
  const name = secret?.secretName ?? configMap?.name ?? '';
  const kind = secret === undefined ? 'ConfigMap' : 'Secret';
  const ask = () =>
    api.find<KubeObject & { data?: Record<string, string> }>({ apiVersion: 'v1', kind, metadata: { name, namespace } });
  const object = configMap?.optional === true ? await ask() : await until(`${kind} ${name} is there`, ask, 120_000);
  const data = Object.entries(object?.data ?? {});
  const decode = (text: string): string | Buffer => (secret === undefined ? text : Buffer.from(text, 'base64'));
  const files = Object.fromEntries(data.map(([key, text]) => [key, decode(text)]));
  return { mode: secret?.defaultMode ?? configMap?.defaultMode ?? 0o644, files };
}

function writeFolder(folder: string, files: Files, mode: number): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode });
}

/** What to start in the Pod's network namespace; `folder` as `writeFiles` left it. */
export function commandOf(pod: Pod, folder: string, site: Site, extra: readonly string[] = []): string[] {
  const [container] = pod.spec.containers;
  return [
    ...['unshare', '--mount', RUNTIME, folder],
    ...['env', '-i', ...environment(pod, site), ...extra],
    ...confined(pod),
    ...program(container, pod.metadata.name),
  ];
}

function environment({ metadata, spec }: Pod, { hostIp, ips, server }: Site): string[] {
  const fields: Readonly<Record<string, string | undefined>> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace,
    'metadata.uid': metadata.uid,
    'spec.nodeName': spec.nodeName,
    'spec.serviceAccountName': spec.serviceAccountName,
    'status.podIP': ips[0],
    'status.podIPs': ips.join(','),
    'status.hostIP': hostIp,
  };
  const [{ env = [] }] = spec.containers;
  return [
    `PATH=${process.env['PATH']}`,
    `KUBERNETES_SERVICE_HOST=${server.address}`,
    `KUBERNETES_SERVICE_PORT=${server.port}`,
    ...env.map(
      ({ name, value, valueFrom }) => `${name}=${value ?? fields[valueFrom?.fieldRef?.fieldPath ?? ''] ?? ''}`,
    ),
  ];
}

/** User and capabilities as the manifest allows; nothing beyond them. */
function confined({ spec }: Pod): string[] {
  const context = spec.containers[0].securityContext;
  const user = context?.runAsUser ?? spec.securityContext?.runAsUser;
  const capabilities = context?.capabilities;
  if (user === undefined && capabilities === undefined) return [];
  const added = (capabilities?.add ?? []).map((each) => `+${each.toLowerCase()}`);
  const set = [...((capabilities?.drop ?? []).includes('ALL') ? ['-all'] : []), ...added].join();
  return [
    'setpriv',
    '--no-new-privs',
    ...(user === undefined ? [] : [`--reuid=${user}`, `--regid=${user}`, '--clear-groups']),
    ...(set === '' ? [] : [`--bounding-set=${set}`, `--inh-caps=${set}`]),
  ];
}

/**
 * The images that there are: ours, and `serve` and `web`, which answer every connection, or every request of HTTP, to
 * port 8080 with the Pod's name.
 */
function program({ image, args = [] }: Container, podName: string): string[] {
  const [, role] = /(?:^|\/)(controller|speaker)(?::[^/]*)?$/.exec(image) ?? [];
  if (role !== undefined) return [NODE_INSIDE, `${PROJECT_INSIDE}/bin/fairway`, role, ...args];
  if (image === 'serve' || image === 'web')
    return [NODE_INSIDE, `${PROJECT_INSIDE}/test/interop/inside.ts`, image, podName, '8080'];
  throw new Error(`no such image: ${image}`);
}
