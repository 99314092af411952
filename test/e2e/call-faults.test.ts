/**
 * A short run of the drills of calls as models make them, on real processes under load; `npm run faults -- calls` runs them
 * for the full times, in .ci/nightly too.
 */

import assert from 'node:assert/strict';
import { callFaults } from '../drills/calls/rows.js';
import { isKept, runRow } from '../drills/faults/run.js';

/** A drill that the machine itself disturbed shows nothing, and is done again. */
const TRIES = 3;

/** By name: what has the same fault in less time. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'large-nan-everywhere': 'scenario/outliers/invalid-output.test.ts',
};

describe('faults of calls as models make them', function () {
  this.timeout(120_000);

  for (const row of callFaults.rows.filter(({ name }) => !Object.hasOwn(ELSEWHERE, name)))
    it(row.fault, async function () {
      for (let left = TRIES; left > 0; left--) {
        const verdict = await runRow(row, {}, 'short');
        if (isKept(verdict)) return;
        const missed = verdict.criteria.filter(({ kept }) => !kept);
        if (verdict.disturbed === undefined) assert.deepEqual(missed, []);
        process.stderr.write(`\n${row.name}: ${verdict.disturbed}; ${JSON.stringify(missed)}\n`);
      }
      process.stderr.write(`\nSKIPPING ${row.name}: this machine is too busy for it\n`);
      this.skip();
    });
});
