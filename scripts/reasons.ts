// Prints docs/reasons.md anew from the list in src/plan/explain.ts.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { reasonsPage } from '../src/plan/explain.ts';

writeFileSync(join(import.meta.dirname, '..', 'docs', 'reasons.md'), reasonsPage());
