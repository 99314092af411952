import assert from 'node:assert/strict';
import type { ArmRun } from '../../../../../../sidecar/cli/chaos/history/record.js';
import { figuresOf } from '../../../../../../sidecar/cli/chaos/report/figures/figures.js';
import { judge, type Verdict } from '../../../../../../sidecar/cli/chaos/report/verdict/verdict.js';
import { madeRun } from '../../../../../kit/chaos/made-history.js';
import { constant } from '../../../../../kit/time/seeded-random.js';

const run = (drill: string, arm: ArmRun['arm'], failForMs: number): ArmRun =>
  madeRun({ random: constant(0.5), drill, arm, failForMs, degradeForMs: 0 });
const verdictOf = (...runs: readonly ArmRun[]): Verdict => judge(figuresOf(runs));

describe('the verdict', () => {
  it('is kept where no invariant is broken and no arm is better', () => {
    const verdict = verdictOf(
      ...[run('kill', 'outrider', 0), run('kill', 'envoy', 900)],
      ...[run('nan', 'outrider', 0), run('nan', 'envoy', 0), run('nan', 'pick-first', 3_000)],
    );
    assert.equal(verdict.isKept, true);
    assert.equal(
      verdict.sentence,
      'In 2 scenarios, 0 of 1,000 calls through Outrider failed, were wrong or ran twice. No call broke an invariant. Outrider did at least as well as Envoy and gRPC alone (better in 2 of 3 comparisons, level in the others).',
    );
  });

  it('is kept by Outrider alone where there is no other arm', () => {
    const verdict = verdictOf(run('kill', 'outrider', 3_000));
    assert.equal(verdict.isKept, true);
    assert.equal(
      verdict.sentence,
      'In one scenario, 50 of 500 calls through Outrider failed, were wrong or ran twice. No call broke an invariant.',
    );
  });

  it('names what is broken and what is worse', () => {
    const broken = run('kill', 'outrider', 3_000);
    const calls = broken.calls.map((call, i) => (i === 7 ? { ...call, answers: 2 } : call));
    const verdict = verdictOf({ ...broken, calls }, run('kill', 'envoy', 0));
    assert.equal(verdict.isKept, false);
    assert.deepEqual(verdict.broken, [{ drill: 'kill', invariant: 'answered-once', times: 1 }]);
    assert.equal(
      verdict.sentence,
      'Failed: invariants were broken 1 time (answered-once in “kill”), and Outrider did worse than Envoy in “kill”. In one scenario, 50 of 500 calls through Outrider failed, were wrong or ran twice.',
    );
  });

  it('lists four faults and how many more', () => {
    const drills = ['a', 'b', 'c', 'd', 'e', 'f'];
    const verdict = verdictOf(
      ...drills.flatMap((drill) => [run(drill, 'outrider', 3_000), run(drill, 'envoy', 0)]),
    );
    assert.match(verdict.sentence, /worse than Envoy in “a”, .*Envoy in “d” and 2 more\. In 6 scenarios, /);
  });

  it('is none where other arms break invariants, and where Outrider was not run', () => {
    const other = run('kill', 'envoy', 0);
    const calls = other.calls.map((call) => ({ ...call, answers: 2 }));
    assert.equal(verdictOf(run('kill', 'outrider', 0), { ...other, calls }).isKept, true);
    const none = verdictOf(other);
    assert.deepEqual(
      [none.isKept, none.sentence],
      [true, 'Outrider was not among the setups, so there is no verdict.'],
    );
  });
});
