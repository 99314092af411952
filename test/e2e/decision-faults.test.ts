/**
 * A short run of the faults of replicas, networks and callers that show themselves within seconds, on real processes
 * under load; `npm run faults -- decisions` runs all of them, for the full times.
 */

import assert from 'node:assert/strict';
import { decisionFaults } from '../chaos/decisions.js';
import { isKept, runRow } from '../chaos/faults-run.js';

const FAST: ReadonlySet<string> = new Set([
  ...['killed', 'errors', 'late-errors', 'pair', 'poison', 'client-errors', 'stall', 'black-hole'],
  ...['model-gone', 'ping', 'client-dies', 'disk-full'],
]);
/** A drill that the machine itself disturbed shows nothing, and is done again. */
const TRIES = 3;

describe('faults under load', function () {
  this.timeout(120_000);

  for (const row of decisionFaults.rows.filter(({ name }) => FAST.has(name))) {
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
  }
});
