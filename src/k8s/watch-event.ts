// The text of a watch: one JSON object a line, however the network cut it. Called by `api`.

import { GarbledWatch } from './api-error.ts';

export type WatchEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: Readonly<Record<string, unknown>> }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string; readonly initialEventsEnd: boolean }
  /** A `metav1.Status`. */
  | { readonly type: 'ERROR'; readonly code: number; readonly reason: string; readonly message: string };

/** The API server's own limit for a request is 3 MiB; an object in etcd has 1.5 MiB by default. */
const LONGEST_LINE = 16 << 20;
const NEWLINE = 10;
/** On the bookmark that ends the first events of a streamed list. */
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

/** The events of each chunk that completes some; throws GarbledWatch at the first line that is none. */
export async function* watchEvents(
  chunks: AsyncIterable<Buffer>,
  heard: () => void,
): AsyncGenerator<readonly WatchEvent[], void> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    heard();
    const events: WatchEvent[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const line =
        parts.length === 0
          ? chunk.toString('utf8', start, end)
          : Buffer.concat([...parts, chunk.subarray(start, end)]).toString('utf8');
      parts = [];
      length = 0;
      start = end + 1;
      if (line.trim() !== '') events.push(parseEvent(line));
    }
    if (start < chunk.length) {
      parts.push(chunk.subarray(start));
      length += chunk.length - start;
      if (length > LONGEST_LINE) throw new GarbledWatch(`a line of more than ${LONGEST_LINE} octets`);
    }
    if (events.length > 0) yield events;
  }
  // a server that ends a watch ends it after a line
  if (parts.some((part) => part.toString('utf8').trim() !== '')) throw new GarbledWatch('it ended within an event');
}

function parseEvent(line: string): WatchEvent {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new GarbledWatch(`a line that is no JSON: ${JSON.stringify(line.slice(0, 80))}`);
  }
  const { type, object } = isRecord(value) ? value : {};
  if (!isRecord(object)) throw new GarbledWatch(`a line that is no event: ${JSON.stringify(line.slice(0, 80))}`);
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, object };
    case 'BOOKMARK': {
      const metadata = isRecord(object['metadata']) ? object['metadata'] : {};
      const annotations = isRecord(metadata['annotations']) ? metadata['annotations'] : {};
      return {
        type,
        resourceVersion: text(metadata['resourceVersion']),
        initialEventsEnd: annotations[INITIAL_EVENTS_END] === 'true',
      };
    }
    case 'ERROR': {
      const { code, reason, message } = object;
      return { type, code: typeof code === 'number' ? code : 500, reason: text(reason), message: text(message) };
    }
    default:
      throw new GarbledWatch(`an event of the type ${JSON.stringify(type)?.slice(0, 40)}`);
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
