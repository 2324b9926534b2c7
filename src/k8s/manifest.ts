// YAML or JSON text as files hold it: documents to API objects, each with the file and the lines it came from.

import type { ApiObject } from '../config/resource.ts';

export interface ManifestObject {
  readonly object: ApiObject;
  readonly file: string;
  /** Line of the document's first key, from 1. */
  readonly line: number;
  /** Line of a path such as `spec.addresses[1]`, or of its nearest parent that stands in the text. */
  readonly lineOf: (path: string) => number;
}

export interface ManifestFault {
  readonly file: string;
  readonly line: number;
  readonly rule: string;
  readonly text: string;
}
