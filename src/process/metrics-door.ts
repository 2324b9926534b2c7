// Metrics to the network, as MetalLB serves them: HTTPS alone, and only to who shows a token of this cluster with the
// right to read them. The certificate is one of our own making that nobody checks, or comes from a folder and is followed
// there. Opened by controller-process and by the speaker.

import { hostname } from 'node:os';
import { type HttpsDoor, serveHttps } from '../io/https.ts';
import { followIdentity, readIdentity } from '../io/identity-file.ts';
import type { Metrics } from '../io/metrics.ts';
import type { TlsOptions } from '../io/tls-options.ts';
import type { Api } from '../k8s/api.ts';
import { answerScrape, TokenGuard } from '../k8s/token-guard.ts';
import { issueServer } from '../k8s/x509.ts';

export interface MetricsDoorOptions {
  readonly api: Api;
  /** Undefined: all addresses. */
  readonly host?: string;
  readonly port: number;
  readonly tls: TlsOptions;
  /** Folder of tls.crt and tls.key; empty: self-signed. */
  readonly certificates: string;
  readonly metrics: Metrics;
  readonly failed: (what: string, text: string) => void;
}

const PATH = '/metrics';

/** Rejects with a sentence when the port or the certificate cannot be had. */
export async function openMetricsDoor(options: MetricsDoorOptions): Promise<HttpsDoor> {
  const { api, host, port, tls, certificates, metrics, failed } = options;
  const guard = new TokenGuard({ api, path: PATH, failed: (text) => failed('nobody can be let to the metrics', text) });
  const read = async () => ({ type: metrics.contentType, body: await metrics.text() });
  const identity =
    certificates === ''
      ? await issueServer(undefined, [hostname(), 'localhost'], new Date())
      : await readIdentity(certificates);
  const door = await serveHttps({
    ...{ port, tls, identity },
    ...(host !== undefined && { host }),
    longestBody: 0,
    handle: (request) => answerScrape(guard, PATH, request, read),
    unanswered: (fault) => failed('metrics could not be told', String(fault)),
  });
  if (certificates === '') return door;
  const end = followIdentity(certificates, door.identify, (text) => failed('the old certificate stays', text));
  return {
    ...door,
    close: () => {
      end();
      door.close();
    },
  };
}
