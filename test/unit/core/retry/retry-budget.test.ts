import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Outcome } from '../../../../sidecar/core/outcome/outcome.js';
import { RetryBudget, WINDOW_MS } from '../../../../sidecar/core/retry/retry-budget.js';

const budgetOf = (ratio: number, perSecond: number) => new RetryBudget({ ratio, perSecond });

function deposit(budget: RetryBudget, calls: number, nowMs: number): void {
  for (let i = 0; i < calls; i += 1) budget.deposit(nowMs);
}

function drain(budget: RetryBudget, nowMs: number): number {
  let taken = 0;
  while (budget.withdraw(nowMs)) taken += 1;
  return taken;
}

describe('RetryBudget', () => {
  it('grants a fifth of the calls', () => {
    const budget = budgetOf(0.2, 0);
    deposit(budget, 4, 0);
    assert.equal(budget.withdraw(0), false);
    budget.deposit(0);
    assert.deepEqual([budget.withdraw(0), budget.withdraw(0)], [true, false]);
    deposit(budget, 1_000, 0);
    assert.equal(drain(budget, 0), 200);
  });

  it('grants a stream that was open for five seconds its own resumption, and no more', () => {
    const budget = budgetOf(0.2, 0);
    for (const openMs of [5_000, 60_000, 3_600_000]) {
      budget.depositStream(openMs, 0);
      assert.equal(drain(budget, 0), 1, `${openMs}`);
    }
    for (const openMs of [0, 999, 4_999]) budget.depositStream(openMs, 0);
    assert.ok(Math.abs(budget.balance(0) - 0.8) < 1e-9);
    assert.equal(budget.balance(10_000), 0);
    const none = budgetOf(0, 0);
    none.depositStream(60_000, 0);
    assert.equal(none.withdraw(0), false);
  });

  it('grants streams nothing more while extra attempts fail one after the other', () => {
    const budget = budgetOf(0.2, 0);
    deposit(budget, 200, 0);
    for (let i = 0; i < 10; i++) {
      assert.ok(budget.withdraw(0));
      budget.recordOutcome(Outcome.fault, 0);
    }
    const saved = budget.balance(1_000);
    budget.depositStream(60_000, 1_000);
    assert.equal(budget.withdraw(1_000), false);
    assert.equal(budget.balance(1_000), saved, 'nothing is left for others either');
    budget.recordOutcome(Outcome.success, 1_000);
    budget.depositStream(60_000, 1_000);
    assert.equal(budget.withdraw(1_000), true);
  });

  it('has ten seconds of reserve at first, and gains it by the second', () => {
    const budget = budgetOf(0.2, 3);
    const granted = [5_000, 5_300, 5_340, 6_340, 1_000_000].map((nowMs) => drain(budget, nowMs));
    assert.deepEqual(granted, [30, 0, 1, 3, 30]);
  });

  it('forgets calls after ten seconds without any', () => {
    const budget = budgetOf(0.2, 0);
    deposit(budget, 100, 500);
    assert.ok(Math.abs(budget.balance(9_999) - 20) < 1e-9);
    assert.deepEqual([budget.balance(10_000), budget.withdraw(10_000)], [0, false]);
  });

  it('forgets deposits second by second, the oldest of them spent first', () => {
    const budget = budgetOf(0.5, 0);
    for (const nowMs of [0, 5_000]) deposit(budget, 10, nowMs);
    for (let i = 0; i < 5; i += 1) assert.ok(budget.withdraw(5_000));
    const left = [9_000, 10_000, 15_000].map((nowMs) => budget.balance(nowMs));
    assert.deepEqual(left, [5, 5, 0]);
  });

  describe('RetryBudget, when extra attempts fail in a row,', () => {
    const PER_SECOND = 300;
    let budget: RetryBudget;

    /** A second of calls of which every one asks for an extra attempt, which ends as said. What was granted. */
    function second(startMs: number, outcome: Outcome): number {
      let granted = 0;
      for (let i = 0; i < PER_SECOND; i += 1) {
        const nowMs = startMs + (i * 1_000) / PER_SECOND;
        budget.deposit(nowMs);
        if (!budget.withdraw(nowMs)) continue;
        granted += 1;
        budget.recordOutcome(outcome, nowMs);
      }
      return granted;
    }

    beforeEach(() => {
      budget = budgetOf(0.2, 3);
      for (let i = 0; i < 10 * PER_SECOND; i += 1) budget.deposit((i * 1_000) / PER_SECOND);
    });

    it('spends no savings, only the deposits of each second', () => {
      const granted = [10_000, 11_000, 12_000].map((startMs) => second(startMs, Outcome.fault));
      assert.deepEqual(granted, [63, 63, 63]);
      assert.ok(budget.balance(12_999) > 500, `${budget.balance(12_999)}`);
    });

    it('grants less than a quarter of the calls, counted over any five seconds', () => {
      const granted = Array.from({ length: 20 }, (_, i) => second(10_000 + i * 1_000, Outcome.overload));
      for (let from = 0; from <= 15; from += 1) {
        const sum = granted.slice(from, from + 5).reduce((all, each) => all + each, 0);
        assert.ok(sum <= 0.25 * 5 * PER_SECOND, `${sum} from second ${from} on`);
      }
    });

    it('spends savings while a part of the upstream succeeds', () =>
      assert.equal(second(10_000, Outcome.success), PER_SECOND));

    it('spends savings again after one success', () => {
      second(10_000, Outcome.fault);
      budget.recordOutcome(Outcome.success, 11_000);
      assert.equal(second(11_000, Outcome.success), PER_SECOND);
    });

    it('does not count attempts that callers cancelled as failed', () => {
      for (const outcome of [Outcome.cancelled, Outcome.neutral])
        for (let i = 0; i < 100; i += 1) budget.recordOutcome(outcome, 10_000);
      assert.equal(second(10_000, Outcome.success), PER_SECOND);
    });

    it('forgets failures after ten seconds without any', () => {
      for (let i = 0; i < 100; i += 1) budget.recordOutcome(Outcome.fault, 1_000);
      const granted = [second(10_000, Outcome.neutral), second(11_000, Outcome.neutral)];
      assert.deepEqual(granted, [63, PER_SECOND]);
    });
  });

  it('grants nothing at 0 and 0', () => {
    const budget = budgetOf(0, 0);
    for (let i = 0; i < 1_000; i += 1) budget.deposit(i * 10);
    assert.equal(drain(budget, 10_000), 0);
    assert.deepEqual([budget.granted, budget.refused], [0, 1]);
  });

  it('drops reserve above new settings', () => {
    const budget = budgetOf(0, 3);
    budget.configure({ ratio: 0, perSecond: 1 });
    assert.equal(drain(budget, 0), 10);
  });

  it('is never negative, and never grants more than ratio × calls + reserve', () => {
    const some = fc.record({ kind: fc.constantFrom('call', 'retry'), times: fc.nat(50) });
    const wait = fc.record({ kind: fc.constant('wait'), times: fc.nat(15_000) });
    const step = fc.oneof({ weight: 10, arbitrary: some }, { weight: 2, arbitrary: wait });
    const ratio = fc.constantFrom(0, 0.05, 0.2, 0.33, 1);
    const perSecond = fc.constantFrom(0, 0.5, 3, 10);
    fc.assert(
      fc.property(ratio, perSecond, fc.array(step, { maxLength: 80 }), (ratioOfCalls, reserve, steps) => {
        const budget = budgetOf(ratioOfCalls, reserve);
        let nowMs = 12_345;
        const startMs = nowMs;
        let calls = 0;
        for (const { kind, times } of steps) {
          if (kind === 'wait') nowMs += times;
          for (let i = 0; i < times && kind === 'call'; i += 1) budget.deposit(nowMs);
          if (kind === 'call') calls += times;
          for (let i = 0; i < times && kind === 'retry'; i += 1) budget.withdraw(nowMs);
          const saved = (reserve * (WINDOW_MS + nowMs - startMs)) / 1_000;
          assert.ok(budget.balance(nowMs) >= 0);
          const most = ratioOfCalls * calls + saved + 1e-6;
          assert.ok(budget.granted <= most, `${budget.granted} of ${calls} calls`);
        }
      }),
    );
  });
});
