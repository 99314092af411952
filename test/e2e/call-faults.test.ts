/**
 * A short run of the drills of calls as models make them, on real processes under load; `npm run faults -- calls` runs them
 * for the full times, in .ci/nightly too.
 */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { callFaults } from '../drills/calls/rows.js';
import { keepsInShort } from '../drills/faults/in-suite.js';
import { EFFORT } from '../kit/mocha/effort.js';
import { testFile } from '../kit/process/tools.js';

/** By name: what has the same fault in less time. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'stream-dies-late': 'e2e/up/resumed-streams.test.ts',
  'large-nan': 'scenario/outliers/invalid-output.test.ts',
  'slow-first-message': 'scenario/streams/slow-first-message.test.ts',
  'large-nan-everywhere': 'scenario/outliers/invalid-output.test.ts',
  'model-on-some': 'scenario/models/model-on-some.test.ts',
  'mixed-durations': 'scenario/outliers/mixed-durations.test.ts',
  'lying-load': 'scenario/traffic/reported-load.test.ts',
};

/** For their full times alone, by `npm run faults -- calls` in .ci/nightly: a short run of each takes ten seconds and more. */
const AT_NIGHT: readonly string[] = ['stream-dies-early'];

/** By day in the tests named here; a short run at night. */
const SHORT_AT_NIGHT: Readonly<Record<string, readonly string[]>> = {
  'cold-start': ['scenario/models/cold-start.test.ts', 'unit/app/wake.test.ts'],
};

describe('faults of calls as models make them', function () {
  this.timeout(240_000);

  it('are all here, or named for the night or with a test that holds them elsewhere', () => {
    const rows = callFaults.rows.map(({ name }) => name);
    for (const name of AT_NIGHT) assert.ok(rows.includes(name), name);
    for (const [name, tests] of Object.entries({ ...ELSEWHERE, ...SHORT_AT_NIGHT })) {
      assert.ok(rows.includes(name), name);
      for (const test of [tests].flat()) assert.ok(existsSync(testFile(test)), test);
    }
  });

  for (const row of callFaults.rows.filter(
    ({ name }) =>
      !Object.hasOwn(ELSEWHERE, name) &&
      !AT_NIGHT.includes(name) &&
      (EFFORT > 1 || !Object.hasOwn(SHORT_AT_NIGHT, name)),
  ))
    it(row.fault, function () {
      return keepsInShort(this, row, {});
    });
});
