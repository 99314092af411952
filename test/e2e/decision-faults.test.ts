/**
 * A short run of every fault of replicas, networks and callers, on real processes under load; `npm run faults --
 * decisions` runs them for the full times, in .ci/nightly too. Those of models and sidecars that have a test with real
 * processes of their own are left to that.
 */

import assert from 'node:assert/strict';
import { decisionFaults } from '../drills/decisions/rows.js';
import { isKept, runRow } from '../drills/faults/run.js';

/** A drill that the machine itself disturbed shows nothing, and is done again. */
const TRIES = 3;

/** By name: what has the same fault in less time, or for the time that it needs. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'long-run': 'e2e/model-hang.test.ts',
  'bad-neighbour': 'e2e/several-models.test.ts',
  'crash-loop': 'e2e/sidecar.test.ts',
  'in-vain': 'scenario/in-vain.test.ts',
  'held-payload': 'attacks/memory.test.ts, relay/silent-streams.test.ts',
  'caller-restart': 'e2e/takeover.test.ts, e2e/up-takeover.test.ts',
  // Its goodput lies so near its bound that a short run says nothing: found 82.8 % to 89.5 % of the capacity.
  'overload-5': '.ci/nightly, for its full time; twice as many calls are here',
};

describe('faults under load', function () {
  this.timeout(120_000);

  for (const row of decisionFaults.rows.filter(({ name }) => !Object.hasOwn(ELSEWHERE, name)))
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
