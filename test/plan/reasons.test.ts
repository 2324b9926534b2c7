// docs/reasons.md is printed from the closed list, and no reason can be given that is not in it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { REASONS, reasonsPage } from '../../src/plan/explain.ts';

it('the page is the list: npx -- node scripts/reasons.ts prints it anew', () => {
  expect(readFileSync(join(import.meta.dirname, '../../docs/reasons.md'), 'utf8')).toBe(reasonsPage());
});

it('every reason is explained in sentences', () => {
  expect(Object.keys(REASONS).length).toBeGreaterThan(25);
  for (const { means, remedy } of Object.values(REASONS))
    for (const text of [means, remedy]) expect(text).toMatch(/^[A-Z][^|\n]{9,}\.$/);
});
