import assert from 'node:assert/strict';
import type { Row } from './row.js';
import { isKept, runRow } from './run.js';

/** A drill that the machine itself disturbed shows nothing, and is done again. */
const TRIES = 3;

/** A short run of a drill as one test of the suite; skipped, and said, where the machine disturbs it each time. */
export async function keepsInShort<World>(
  context: Mocha.Context,
  row: Row<World>,
  world: World,
): Promise<void> {
  for (let left = TRIES; left > 0; left--) {
    const verdict = await runRow(row, world, 'short');
    assert.ok(verdict.criteria.length > 0);
    if (isKept(verdict)) return;
    const missed = verdict.criteria.filter(({ kept }) => !kept);
    if (verdict.disturbed === undefined) assert.deepEqual(missed, []);
    process.stderr.write(`\n${row.name}: ${verdict.disturbed}; ${JSON.stringify(missed)}\n`);
  }
  process.stderr.write(`\nSKIPPING ${row.name}: this machine is too busy for it\n`);
  context.skip();
}
