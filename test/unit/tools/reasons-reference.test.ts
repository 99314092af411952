import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REASON_NAMES } from '../../../sidecar/cli/explain/lookup.js';
import { reasonsReference } from '../../../tools/reasons-reference.js';
import { packageRoot } from '../../kit/process/package-root.js';

describe('docs/REASONS.md', () => {
  const page = reasonsReference();

  it('is what `npm run generate` writes', () =>
    assert.equal(readFileSync(join(packageRoot, 'docs', 'REASONS.md'), 'utf8'), page));

  it('has an entry for each reason', () => {
    for (const name of REASON_NAMES) assert.ok(page.includes(`\n## ${name}\n`), name);
  });
});
