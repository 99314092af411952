/**
 * A short run of the faults of replicas, networks and callers, on real processes under load; `npm run faults --
 * decisions` runs all of them for the full times, in .ci/nightly too. A fault that another test holds, in less time or
 * on a manual clock for longer than a short run could, is left to that.
 */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { decisionFaults } from '../drills/decisions/rows.js';
import { keepsInShort } from '../drills/faults/in-suite.js';
import { EFFORT } from '../kit/mocha/effort.js';
import { testFile } from '../kit/process/tools.js';

/** By name: the tests that hold what the row promises. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  // With real processes.
  'long-run': ['e2e/sidecar/model-hang'],
  'bad-neighbour': ['e2e/sidecar/several-models'],
  'crash-loop': ['e2e/sidecar/sidecar'],
  'caller-restart': ['e2e/sidecar/takeover', 'e2e/up/takeover'],
  'disk-full': ['e2e/sidecar/access-log'],
  'held-payload': ['attacks/memory', 'stack/inbound/silent-streams'],
  narrow: ['attacks/memory'],
  'slow-reader': ['attacks/memory'],
  ping: ['e2e/sidecar/health-checks'],
  tiers: ['e2e/up/upstreams'],
  // On a manual clock, with more calls or for longer.
  'in-vain': ['scenario/retries/late-attempts', 'scenario/models/overload'],
  slow: ['scenario/outliers/slow-endpoint', 'scenario/outliers/gray-failures'],
  frozen: ['scenario/outliers/replica-frozen', 'e2e/sidecar/infer-while-frozen'],
  pair: ['scenario/outliers/max-ejection-boundary'],
  poison: ['scenario/retries/poison'],
  'client-errors': ['scenario/outliers/one-endpoint-fails', 'unit/core/retry/decide-retry'],
  flapping: ['scenario/outliers/flapping-endpoint'],
  hedge: ['scenario/retries/hedge-wins'],
  herd: ['scenario/discovery/all-endpoints-away', 'scenario/outliers/all-endpoints-fail'],
  'overload-2': ['scenario/models/overload', 'bench/overload/main'],
  errors: ['scenario/outliers/one-endpoint-fails'],
  'late-errors': ['scenario/outliers/one-endpoint-fails'],
  'all-fail': ['scenario/outliers/all-endpoints-fail'],
  nan: ['scenario/outliers/invalid-output'],
  stall: ['scenario/outliers/stalled-process'],
  fallback: ['scenario/retries/falling-back'],
  'model-gone': ['scenario/models/model-gone'],
  // A dark line is that of the drill `partition` of `outrider chaos`.
  'black-hole': ['scenario/outliers/replica-frozen', 'e2e/chaos'],
  // Its goodput lies so near its bound that a short run says nothing: found 82.8 % to 89.5 % of the capacity.
  'overload-5': ['bench/overload/main'],
};

/** For their full times alone, by `npm run faults -- decisions` in .ci/nightly: a short run of each takes ten seconds and more. */
const AT_NIGHT: readonly string[] = ['half-open', 'lossy', 'memory', 'long-streams', 'partition'];

/** By day in the tests named here; a short run at night. */
const SHORT_AT_NIGHT: Readonly<Record<string, readonly string[]>> = {
  // The drill `kill` of `outrider chaos`, on real processes.
  killed: ['e2e/chaos', 'scenario/discovery/replica-killed'],
  'client-dies': ['stack/outbound/calls'],
};

describe('faults under load', function () {
  this.timeout(240_000);

  it('leave out only rows that there are, each for tests that there are or for the night', () => {
    const rows = decisionFaults.rows.map(({ name }) => name);
    for (const name of AT_NIGHT) assert.ok(rows.includes(name), name);
    for (const [name, tests] of Object.entries({ ...ELSEWHERE, ...SHORT_AT_NIGHT })) {
      assert.ok(rows.includes(name), name);
      for (const test of tests) assert.ok(existsSync(testFile(`${test}.test.ts`)), test);
    }
  });

  for (const row of decisionFaults.rows.filter(
    ({ name }) =>
      !Object.hasOwn(ELSEWHERE, name) &&
      !AT_NIGHT.includes(name) &&
      (EFFORT > 1 || !Object.hasOwn(SHORT_AT_NIGHT, name)),
  ))
    it(row.fault, function () {
      return keepsInShort(this, row, {});
    });
});
