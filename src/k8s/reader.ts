// Readers of stores for the kinds that a configuration is made of. Used by controller and speaker.

import { readResource } from '../config/read.ts';
import type { ApiObject, Invalid, Labelled, Resource } from '../config/resource.ts';

type Invalidity = { readonly invalid: Invalid };

/** Fields that the kind does not have are the API server's to drop. */
export function readAsResource(object: ApiObject): Resource | Invalidity {
  const read = readResource(object);
  if (read === undefined) return strange(object);
  if ('invalid' in read) return read;
  const { unknown: _, ...resource } = read;
  return resource;
}

/** Of a Secret its type and password alone: a namespace may hold megabytes of others. */
export function readSecretPassword(object: ApiObject): Resource | Invalidity {
  const { password } = (object['data'] ?? {}) as { readonly password?: unknown };
  const { stringData: _, ...rest } = object;
  return readAsResource({ ...rest, data: password === undefined ? {} : { password } });
}

export function readLabelled({ metadata: { name, labels } }: ApiObject): Labelled {
  const texts = Object.entries(labels ?? {}).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return { name, labels: Object.fromEntries(texts) };
}

export function strange({ apiVersion, kind }: ApiObject): Invalidity {
  return { invalid: { rule: 'schema', message: `${kind} (${apiVersion}) is not read here` } };
}
