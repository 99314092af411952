/**
 * The same failures decide the same, whether they come in a millisecond or over hours: the consecutive rule
 * counts events, not time.
 */
import assert from 'node:assert/strict';
import { Status } from '../../../sidecar/core/outcome/status.js';
import { EjectionEvent } from '../../../sidecar/core/outlier/ejection.js';
import { failure, ok, SimulatedPool } from '../../kit/scenario/simulated-pool.js';

/** The ejection events of the only endpoint that a script of answers (true = OK) goes to, with `gapMs` between them. */
function play(script: readonly boolean[], gapMs: number): readonly EjectionEvent[] {
  const pool = new SimulatedPool(['a', 'b', 'c']);
  const [a, ...others] = pool.endpoints;
  for (const other of others) other.weight = 0;
  for (const isOk of script) {
    a!.answer = () => (isOk ? ok(0) : failure(Status.INTERNAL, 0));
    pool.call();
    pool.wait(gapMs);
  }
  return pool.events;
}

describe('Scenario: burst equals trickle', () => {
  const scripts = {
    'four faults': [false, false, false, false],
    'five faults': [false, false, false, false, false],
    'four faults, a success, four faults': [false, false, false, false, true, false, false, false, false],
    'a success, then five faults': [true, false, false, false, false, false],
  };
  for (const [what, script] of Object.entries(scripts)) {
    it(`decides the same for ${what}, at once, each second and each hour`, () => {
      const burst = play(script, 0);
      assert.equal(burst.includes(EjectionEvent.ejected), /five/.test(what));
      assert.deepEqual(play(script, 1_000), burst);
      assert.deepEqual(play(script, 3_600_000), burst);
    });
  }
});
