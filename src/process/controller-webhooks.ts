// The webhooks of a controller as a whole: their door, the certificate it is opened with, and who keeps that. They answer
// whether the controller leads or not. Owned by controller-process.

import { followIdentity } from '../io/identity-file.ts';
import type { Log } from '../io/log.ts';
import type { Api } from '../k8s/api.ts';
import { CertificateKeeper } from '../k8s/certificate.ts';
import type { Clock } from '../k8s/clock.ts';
import type { Tell } from '../k8s/report.ts';
import type { ControllerProcessOptions } from './controller-process.ts';
import { WebhookDoor } from './webhook-door.ts';

export interface ControllerWebhooksOptions {
  readonly controller: ControllerProcessOptions;
  readonly api: Api;
  /** False: the certificate is served, and kept by another. */
  readonly mayWrite: () => boolean;
  readonly tell: Tell;
  readonly log: Log;
  readonly clock: Clock;
}

export class ControllerWebhooks {
  readonly #options: ControllerWebhooksOptions;
  readonly #door: WebhookDoor;
  readonly #keeper: CertificateKeeper | undefined;
  /** Requests that ended in an error of ours. */
  unanswered = 0;

  constructor(options: ControllerWebhooksOptions) {
    this.#options = options;
    this.#door = this.#makeDoor();
    this.#keeper = this.#makeKeeper();
  }

  get isOpen(): boolean {
    return this.#door.isOpen;
  }

  /** Until the signal aborts; the door stays open. */
  async run(signal: AbortSignal): Promise<void> {
    const { controller, log } = this.#options;
    if (controller.webhooks === 'disabled') return;
    if (this.#keeper !== undefined) return this.#keeper.run(signal);
    const serve = this.#door.identify.bind(this.#door);
    const missed = (error: string) => log.warn({ op: 'certificate', error }, 'waits for a certificate');
    signal.addEventListener('abort', followIdentity(controller.folder, serve, missed));
  }

  /** Who may write is another. */
  look(): void {
    this.#keeper?.look();
  }

  close(): Promise<void> {
    return this.#door.close();
  }

  #makeDoor(): WebhookDoor {
    const { controller, api, log } = this.#options;
    const { host, ports, tls, http2, bgpType, namespace } = controller;
    return new WebhookDoor({
      ...{ port: ports.webhooks, tls, http2 },
      ...(host !== undefined && { host }),
      context: { api, bgpType, namespace },
      opened: (port) => log.info({ op: 'webhook', port }, 'serving webhooks'),
      failed: (error) => log.error({ op: 'webhook', error }, 'webhooks are not served'),
      unanswered: (fault, path) => {
        this.unanswered++;
        const error = fault instanceof Error ? (fault.stack ?? fault.message) : String(fault);
        log.error({ op: 'webhook', path, error }, 'a review could not be answered');
      },
    });
  }

  #makeKeeper(): CertificateKeeper | undefined {
    const { controller, api, mayWrite, tell, log, clock } = this.#options;
    const { rotation, webhooks, namespace } = controller;
    if (rotation === undefined || webhooks === 'disabled') return undefined;
    return new CertificateKeeper({
      ...{ api, namespace, secret: rotation.secret, mayWrite, tell, clock },
      dnsName: `${rotation.service}.${namespace}.svc`,
      serve: (identity) => this.#door.identify(identity),
      say: (level, msg, error) => log[level]({ op: 'certificate', ...(error !== undefined && { error }) }, msg),
    });
  }
}
