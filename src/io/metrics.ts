// Metrics as a table: each row says its name, type, labels and how its samples are read from what the process holds at
// the moment of the scrape. A series is there exactly while its peer, pool or Service is. The rows are in `observe`.

import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface MetricRow<World> {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  readonly labels: readonly string[];
  readonly read: (world: World) => Iterable<Sample>;
}

/**
 * The loop's delay is sampled so often: at prom-client's 10 ms that costs more than all else does at rest. The percentiles
 * of `nodejs_eventloop_lag` hold this time too.
 */
const SAMPLING_MS = 100;

/** The text of a scrape, Prometheus' format 0.0.4, with Node's and the process's own metrics. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #prepare: () => Promise<void>;

  /** `prepare`: done before each scrape is read. */
  constructor(prepare = async () => {}) {
    this.#prepare = prepare;
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: SAMPLING_MS });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** `world` is asked anew at each scrape. */
  add<World>(rows: readonly MetricRow<World>[], world: () => World): void {
    for (const { name, type, help, labels, read } of rows) {
      const registers = [this.#registry];
      if (type === 'gauge')
        new Gauge({
          name,
          help,
          labelNames: [...labels],
          registers,
          collect() {
            this.reset();
            for (const sample of read(world())) this.set(sample.labels, sample.value);
          },
        });
      else
        new Counter({
          name,
          help,
          labelNames: [...labels],
          registers,
          collect() {
            this.reset();
            for (const sample of read(world())) this.inc(sample.labels, sample.value);
          },
        });
    }
  }

  async text(): Promise<string> {
    await this.#prepare();
    return this.#registry.metrics();
  }
}
