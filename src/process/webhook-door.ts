// Where the API server asks about our objects: HTTPS from the moment there is a certificate, with a newer one from the
// moment there is that. Opened by controller-process.

import { json, text } from '../io/http.ts';
import { type HttpsDoor, type HttpsOptions, serveHttps, type TlsIdentity } from '../io/https.ts';
import { answerWebhook, type WebhookContext } from '../k8s/webhook.ts';

export interface WebhookDoorOptions extends Pick<HttpsOptions, 'host' | 'port' | 'tls' | 'http2' | 'unanswered'> {
  readonly context: WebhookContext;
  /** It is open; or the address cannot be had. */
  readonly opened: (port: number) => void;
  readonly failed: (text: string) => void;
}

export class WebhookDoor {
  readonly #options: WebhookDoorOptions;
  #door: Promise<HttpsDoor | undefined> | undefined;
  #closed = false;

  constructor(options: WebhookDoorOptions) {
    this.#options = options;
  }

  /** Opens the door, or changes its certificate. */
  identify(identity: TlsIdentity): void {
    const before = this.#door;
    this.#door = before === undefined ? this.#open(identity) : this.#change(before, identity);
  }

  get isOpen(): boolean {
    return this.#door !== undefined;
  }

  /** Answers what was asked, and is shut then. */
  async close(): Promise<void> {
    this.#closed = true;
    await (await this.#door)?.drain();
  }

  async #change(before: Promise<HttpsDoor | undefined>, identity: TlsIdentity): Promise<HttpsDoor | undefined> {
    const door = await before;
    if (door === undefined) return this.#open(identity);
    door.identify(identity);
    return door;
  }

  async #open(identity: TlsIdentity): Promise<HttpsDoor | undefined> {
    const { context, opened, failed, ...options } = this.#options;
    try {
      const door = await serveHttps({ ...options, identity, handle: (request) => this.#answer(request) });
      if (this.#closed) door.close();
      else opened(door.port);
      return door;
    } catch (fault) {
      failed((fault as Error).message);
      return undefined;
    }
  }

  async #answer({ method, path, body }: Parameters<HttpsOptions['handle']>[0]) {
    if (method !== 'POST') return text(405, 'only POST\n');
    const answered = await answerWebhook(this.#options.context, path, body);
    return 'answer' in answered ? json(answered.answer) : text(answered.status, answered.text);
  }
}
