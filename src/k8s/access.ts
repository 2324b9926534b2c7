// How to reach an API server and who we are there: from the files of a pod's ServiceAccount, or from a kubeconfig (by
// client-node's KubeConfig, loaded only then: tokens, client certificates, exec plugins). Credentials are read anew when
// `cluster` asks: tokens and CAs are rotated under a running process.

import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import type { Cluster as KubeCluster } from '@kubernetes/client-node/dist/config_types.js';

/** Where a kubelet puts the token, the CA and the namespace of a pod. */
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface Tls {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** What a request carries; never logged. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: Tls;
}

export interface Access {
  /** `https://HOST:PORT`, perhaps with a path. */
  readonly server: string;
  /** Of the pod or of the kubeconfig's context. */
  readonly namespace?: string;
  /** An HTTP proxy. */
  readonly proxy?: string;
  /** `anew`: what was remembered is doubted. */
  credentials(anew: boolean): Promise<Credentials>;
}

export interface AccessOptions {
  /** `--kubeconfig`. */
  readonly kubeconfig?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder of the ServiceAccount's files. */
  readonly serviceAccount?: string;
}

/**
 * `--kubeconfig`, else the files of `KUBECONFIG`, else the pod's ServiceAccount, else `~/.kube/config`. Throws an Error
 * that names the file and what is wrong with it.
 */
export async function findAccess({ kubeconfig, env, serviceAccount }: AccessOptions): Promise<Access> {
  if (kubeconfig !== undefined) return openKubeconfig([kubeconfig]);
  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter((path) => path !== '');
  if (listed.length > 0) return openKubeconfig(listed);
  const [host, port] = [env['KUBERNETES_SERVICE_HOST'], env['KUBERNETES_SERVICE_PORT']];
  if (host !== undefined && port !== undefined) return inCluster(host, port, serviceAccount ?? SERVICE_ACCOUNT);
  try {
    return await openKubeconfig([join(env['HOME'] ?? homedir(), '.kube', 'config')]);
  } catch (fault) {
    const { message } = fault as Error;
    throw new Error(`no cluster to talk to: not in a pod, no --kubeconfig, no KUBECONFIG, and ${message}`);
  }
}

async function inCluster(host: string, port: string, folder: string): Promise<Access> {
  const read = async (name: string): Promise<string> => {
    try {
      return await readFile(join(folder, name), 'utf8');
    } catch (fault) {
      throw new Error(`cannot read the ServiceAccount's ${name}: ${(fault as Error).message}`);
    }
  };
  const namespace = (await read('namespace').catch(() => '')).trim();
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    ...(namespace !== '' && { namespace }),
    credentials: async () => {
      const [token, ca] = await Promise.all([read('token'), read('ca.crt')]);
      return { headers: { authorization: `Bearer ${token.trim()}` }, tls: { ca } };
    },
  };
}

async function openKubeconfig(files: readonly string[]): Promise<Access> {
  let config = await loadKubeconfig(files);
  const cluster = currentCluster(config, files);
  const namespace = config.getContextObject(config.getCurrentContext())?.namespace;
  return {
    server: cluster.server.replace(/\/+$/, ''),
    ...(namespace && { namespace }),
    ...(cluster.proxyUrl && { proxy: cluster.proxyUrl }),
    credentials: async (anew) => {
      // a fresh KubeConfig has also forgotten what an exec plugin said
      if (anew) config = await loadKubeconfig(files);
      return credentialsOf(config);
    },
  };
}

async function loadKubeconfig(files: readonly string[]): Promise<KubeConfig> {
  const { KubeConfig } = await import('@kubernetes/client-node/dist/config.js');
  const [first, ...others] = files.map((file) => {
    const config = new KubeConfig();
    try {
      config.loadFromFile(file);
    } catch (fault) {
      throw new Error(`cannot read the kubeconfig ${file}: ${(fault as Error).message}`);
    }
    return config;
  });
  if (first === undefined) throw new Error('no kubeconfig');
  for (const other of others) first.mergeConfig(other, first.getCurrentContext() !== undefined);
  return first;
}

function currentCluster(config: KubeConfig, files: readonly string[]): KubeCluster {
  const context: string | undefined = config.getCurrentContext();
  const cluster = context ? config.getCurrentCluster() : undefined;
  if (!cluster?.server) {
    const what = context ? `its context ${context} names no cluster with a server` : 'it has no current-context';
    throw new Error(`the kubeconfig ${files.join(delimiter)} is of no use: ${what}`);
  }
  return cluster;
}

/** KubeConfig puts headers and TLS material where an https request would take them from. */
async function credentialsOf(config: KubeConfig): Promise<Credentials> {
  const taken: { headers?: Record<string, string>; auth?: string; agent?: unknown } & Tls = {};
  const cluster = config.getCurrentCluster();
  if (cluster?.server.startsWith('http:') === true && !cluster.skipTLSVerify)
    throw new Error(`the server ${cluster.server} is not https: only insecure-skip-tls-verify allows that`);
  await config.applyToHTTPSOptions(taken);
  const { headers = {}, auth, ca, cert, key, servername, rejectUnauthorized } = taken;
  return {
    headers: {
      ...(auth !== undefined && { authorization: `Basic ${Buffer.from(auth).toString('base64')}` }),
      ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)])),
    },
    tls: {
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
      ...(servername !== undefined && { servername }),
      ...(rejectUnauthorized !== undefined && { rejectUnauthorized }),
    },
  };
}
