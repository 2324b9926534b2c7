// What the door to the API has to say to people: one union, told once a change and not once a try. Whoever runs the
// process makes log lines, metrics and alarms of it.

import type { Kind } from './kind.ts';
import type { Unreadable } from './store.ts';

export type ApiReport =
  /** All objects of the kind were read for the first time. */
  | { readonly is: 'synced'; readonly kind: Kind }
  /** Reading goes on trying; `status` 0: no answer, or none that makes sense. Told when it begins, or becomes another. */
  | { readonly is: 'reading-failed'; readonly kind: Kind; readonly status: number; readonly text: string }
  | { readonly is: 'reading-again'; readonly kind: Kind }
  /** The kind is not served: its CustomResourceDefinition is not installed. `kept`: objects that stay as they were. */
  | { readonly is: 'not-served'; readonly kind: Kind; readonly kept: number }
  /** A line of a watch that is no event. */
  | { readonly is: 'garbled'; readonly kind: Kind; readonly text: string }
  /** A new list lacks most of what was there: all is kept until a second one, `limitMs` at most. */
  | { readonly is: 'relist-doubted'; readonly kind: Kind; readonly known: number; readonly vanished: number }
  /** What became of it: they were there again, or are gone. */
  | { readonly is: 'relist-settled'; readonly kind: Kind; readonly gone: number; readonly by: 'relist' | 'time' }
  | { readonly is: 'unreadable'; readonly object: Unreadable }
  | { readonly is: 'readable-again'; readonly kind: string; readonly name: string }
  /** A write that was given up, or (403) that goes on being tried slowly. */
  | { readonly is: 'write-failed'; readonly key: string; readonly status: number; readonly text: string }
  /** Patching is forbidden, updating is not: from now on whole objects are put. */
  | { readonly is: 'put-instead'; readonly text: string }
  | { readonly is: 'leading'; readonly identity: string }
  | { readonly is: 'not-leading'; readonly text: string }
  /** Leases are forbidden: we lead without asking, for there is one replica only. */
  | { readonly is: 'leading-alone'; readonly text: string }
  | { readonly is: 'lease-failed'; readonly text: string };

export type Tell = (report: ApiReport) => void;
