// Leader election on a coordination.k8s.io Lease, as client-go's leaderelection does it, so that one of several replicas
// writes. Clocks of different machines are never compared: a lease has expired when *we* have not seen it change for as
// long as it says. A leader stops believing in itself well before the others may take over (`leads`, the fence of
// `write`). Without the right to Leases there is one replica, which leads with a warning until the right is there. Run by
// the controller.

import type { Api, CallOptions, Target } from './api.ts';
import { ApiError, isTransient } from './api-error.ts';
import { type Clock, systemClock } from './clock.ts';
import { LEASES } from './kind.ts';
import type { Tell } from './report.ts';

/** How long a lease holds after its last renewal, how long a leader believes in it, how often it is renewed. */
const [DURATION_MS, RENEW_MS, RETRY_MS] = [15_000, 10_000, 2_000];
/** Who waits looks sooner than the leader renews, so that a lease that was released is taken within 2 s. */
const LOOK_SHARE = [0.5, 0.75] as const;
/** An API server that just started forbids what it will allow: its roles are not read yet. As long as a lease holds, too. */
const FORBIDDEN_MS = 15_000;

export interface LeaseOptions {
  readonly api: Api;
  readonly namespace: string;
  readonly name: string;
  /** Of this process: the Pod's name, made unique. */
  readonly identity: string;
  readonly tell: Tell;
  /** Leading began or ended; by time alone it ends without a call: ask `leads`. */
  readonly changed: () => void;
  readonly clock?: Clock;
}

/** `spec` of a Lease. */
interface Spec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

interface Seen {
  readonly spec: Spec;
  readonly resourceVersion: string;
  /** When it last became another, ms of our clock. */
  readonly changedAt: number;
}

export class Lease {
  readonly #options: Required<LeaseOptions>;
  readonly #target: Target;
  #seen: Seen | undefined;
  /** When the request began that made or kept us leader. */
  #renewedAt: number | undefined;
  #alone = false;
  /** Since when it was forbidden each time that we asked. */
  #forbiddenAt: number | undefined;
  #wasAllowed = false;
  #told = '';
  #announced = false;

  constructor({ clock = systemClock, ...options }: LeaseOptions) {
    this.#options = { ...options, clock };
    this.#target = { kind: LEASES, namespace: options.namespace, name: options.name };
  }

  /** Nobody else may write now. */
  leads(): boolean {
    if (this.#alone) return true;
    return this.#renewedAt !== undefined && this.#options.clock.now() - this.#renewedAt < RENEW_MS;
  }

  /** For how long from now nobody else may lead, ms. A leader stops before that. */
  get restMs(): number {
    if (this.#alone) return Number.POSITIVE_INFINITY;
    return this.#renewedAt === undefined ? 0 : Math.max(0, this.#renewedAt + DURATION_MS - this.#options.clock.now());
  }

  /** Who leads, as far as we saw. */
  get holder(): string {
    return this.leads() ? this.#options.identity : (this.#seen?.spec.holderIdentity ?? '');
  }

  /** Until the signal aborts; then the lease is released, so that another can take it at once. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      const began = clock.now();
      await this.#round(signal);
      // a conflict is another replica at work: until we know who leads, both may
      if (this.#renewedAt !== undefined && this.#seen === undefined) await this.#round(signal);
      const [low, high] = LOOK_SHARE;
      const share = this.#renewedAt === undefined ? low + (high - low) * clock.random() : 1;
      await clock.sleep(Math.max(0, began + RETRY_MS * share - clock.now()), signal);
    }
    await this.#release();
  }

  async #round(signal: AbortSignal): Promise<void> {
    const startedAt = this.#options.clock.now();
    try {
      const holds = await this.#acquireOrRenew(startedAt, signal);
      this.#forbiddenAt = undefined;
      this.#wasAllowed = true;
      this.#alone = false;
      this.#renewedAt = holds ? startedAt : undefined;
      this.#told = '';
    } catch (fault) {
      if (signal.aborted) return;
      if (!(fault instanceof ApiError)) throw fault;
      this.#failed(fault);
    }
    this.#announce();
  }

  #failed(fault: ApiError): void {
    const { tell, clock } = this.#options;
    this.#forbiddenAt = fault.status === 403 ? (this.#forbiddenAt ?? clock.now()) : undefined;
    // who may ask may meet another one who may; a server in trouble says nothing of rights
    if (fault.status !== 403 && !isTransient(fault)) this.#alone = false;
    const isForbidden = this.#forbiddenAt !== undefined && clock.now() - this.#forbiddenAt >= FORBIDDEN_MS;
    // nobody can hold what nobody may touch; once we could, others still can
    if (isForbidden && !this.#wasAllowed && !this.#alone) {
      this.#alone = true;
      tell({ is: 'leading-alone', text: `${fault.message}; until then only one replica may run` });
    }
    if (this.#renewedAt !== undefined && clock.now() - this.#renewedAt >= RENEW_MS) this.#renewedAt = undefined;
    if (fault.status === 409) this.#seen = undefined;
    else if (this.#told !== String(fault.status) && !this.#alone) {
      this.#told = String(fault.status);
      tell({ is: 'lease-failed', text: fault.message });
    }
  }

  /** Leading may also have ended by time alone. */
  #announce(): void {
    const { tell, changed, identity } = this.#options;
    const leads = this.leads();
    if (leads === this.#announced) return;
    this.#announced = leads;
    if (!leads) tell({ is: 'not-leading', text: `the lease is ${this.holder ? `${this.holder}'s` : 'not renewed'}` });
    else if (!this.#alone) tell({ is: 'leading', identity });
    changed();
  }

  /** True: the lease is ours, at least from the moment this began. */
  async #acquireOrRenew(startedAt: number, signal: AbortSignal): Promise<boolean> {
    const { api, clock, identity } = this.#options;
    const options = { retries: 0, timeoutMs: RETRY_MS * 2, signal };
    const now = microTime(clock.date());
    // whoever leads knows the lease: one request, and a conflict if that was wrong
    if (this.#renewedAt === undefined || this.#seen === undefined) {
      try {
        this.#look(await api.get(this.#target, options));
      } catch (fault) {
        if (!(fault instanceof ApiError) || fault.status !== 404) throw fault;
        const spec = { ...this.#fresh(now), leaseTransitions: 0 };
        const { namespace, name } = this.#options;
        this.#look(await api.create(this.#target, { ...NAMING, metadata: { namespace, name }, spec }, options));
        return true;
      }
    }
    const seen = this.#seen;
    if (seen === undefined) return false;
    const ours = seen.spec.holderIdentity === identity;
    const holdsMs = (seen.spec.leaseDurationSeconds ?? DURATION_MS / 1_000) * 1_000;
    if (!ours && seen.spec.holderIdentity && startedAt < seen.changedAt + holdsMs) return false;
    const kept = ours ? { acquireTime: seen.spec.acquireTime ?? now } : {};
    const transitions = (seen.spec.leaseTransitions ?? 0) + (ours ? 0 : 1);
    await this.#put(seen, { ...this.#fresh(now), ...kept, leaseTransitions: transitions }, options);
    return true;
  }

  #fresh(now: string): Spec {
    return {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: DURATION_MS / 1_000,
      acquireTime: now,
      renewTime: now,
    };
  }

  async #put(seen: Seen, spec: Spec, options: CallOptions): Promise<void> {
    const { namespace, name } = this.#options;
    const metadata = { namespace, name, resourceVersion: seen.resourceVersion };
    this.#look(await this.#options.api.put(this.#target, { ...NAMING, metadata, spec }, options));
  }

  #look(object: { readonly metadata: object; readonly [field: string]: unknown }): void {
    const { resourceVersion } = object.metadata as { resourceVersion?: unknown };
    const version = String(resourceVersion ?? '');
    if (this.#seen?.resourceVersion === version) return;
    const spec = readSpec(object['spec']);
    this.#seen = { spec, resourceVersion: version, changedAt: this.#options.clock.now() };
  }

  /** client-go's way: nobody's, and for a second only. It expires by itself where this does not get through. */
  async #release(): Promise<void> {
    const led = this.leads() && !this.#alone;
    this.#renewedAt = undefined;
    this.#alone = false;
    try {
      if (led && this.#seen !== undefined) await this.#putNobody(this.#seen);
    } catch {
      // a renewal that was cut short may have been carried out: then we know an older version
      await this.#options.api
        .get(this.#target, RELEASE)
        .then(async (object) => {
          this.#look(object);
          if (this.#seen?.spec.holderIdentity === this.#options.identity) await this.#putNobody(this.#seen);
        })
        .catch(() => undefined);
    }
    this.#announce();
  }

  #putNobody(seen: Seen): Promise<void> {
    const now = microTime(this.#options.clock.date());
    const leaseTransitions = seen.spec.leaseTransitions ?? 0;
    const nobody = { holderIdentity: '', leaseDurationSeconds: 1, leaseTransitions };
    return this.#put(seen, { ...this.#fresh(now), ...nobody }, RELEASE);
  }
}

/** Whoever leaves has not much time. */
const RELEASE = { retries: 0, timeoutMs: 1_000 };

const NAMING = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };

/** A lease that makes no sense is nobody's. */
function readSpec(value: unknown): Spec {
  const spec = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const text = (name: string) => (typeof spec[name] === 'string' ? { [name]: spec[name] } : {});
  const number = (name: string) => (typeof spec[name] === 'number' && spec[name] >= 0 ? { [name]: spec[name] } : {});
  return {
    ...text('holderIdentity'),
    ...text('acquireTime'),
    ...text('renewTime'),
    ...number('leaseDurationSeconds'),
    ...number('leaseTransitions'),
  };
}

/** metav1.MicroTime: six digits, no fewer. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}
