// The metrics of the packet thread as such. Part of the tables of speaker and standalone; docs/layer2.md names them.

import type { LinksView } from '../links/view.ts';
import type { Row } from './metrics.ts';

/** `links` undefined: there is no packet thread. */
export const PACKET_METRICS: readonly Row<{ readonly links: LinksView | undefined }>[] = [
  {
    name: 'fairway_packet_failures_total',
    type: 'counter',
    labels: ['effect', 'code'],
    help: 'Packets, multicast groups and reads of the links that the kernel refused, by what was asked of it and its error',
    read: ({ links }) =>
      (links?.failures ?? []).map(({ effect, code, count }) => ({ labels: { effect, code }, value: count })),
  },
];
