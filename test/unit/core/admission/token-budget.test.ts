import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RateLimits } from '../../../../sidecar/core/admission/rate-limit.js';
import {
  TokenBudget,
  TokenLedger,
  TokenReservation,
} from '../../../../sidecar/core/admission/token-budget.js';
import { runs } from '../../../kit/mocha/effort.js';

const PER_MINUTE = 600;

function setUp(perMinute = PER_MINUTE) {
  const ledger = new TokenLedger();
  const budget = new TokenBudget(perMinute, 0);
  const reserve = (tokens: number) => new TokenReservation(budget, ledger, tokens);
  /** What is left, what is set aside, and that in all budgets. */
  const state = () => [budget.level, budget.reserved, ledger.reserved];
  return { budget, reserve, state };
}

describe('TokenBudget', () => {
  it('has a minute of tokens at once, and fills within a minute', () => {
    const { budget, reserve } = setUp();
    reserve(600);
    budget.refill(1_000);
    assert.equal(budget.level, 10);
    assert.equal(budget.waitMs(25), 1_500);
    budget.refill(600_000);
    assert.deepEqual([budget.level, budget.waitMs(600)], [600, 0]);
  });

  it('gets back what a call did not use, once', () => {
    const { reserve, state } = setUp();
    const call = reserve(500);
    assert.deepEqual(state(), [100, 500, 500]);
    call.settle(120, 0);
    assert.deepEqual(state(), [480, 0, 0]);
    call.settle(0, 0);
    call.use(900, 0);
    assert.deepEqual(state(), [480, 0, 0]);
  });

  it('gets no more back than it may have', () => {
    const { budget, reserve } = setUp();
    const call = reserve(500);
    call.settle(0, 60_000);
    assert.equal(budget.level, 600);
  });

  it('is below 0 for as long as calls have brought more than was known of them', () => {
    const { budget, reserve, state } = setUp();
    const call = reserve(600);
    call.use(600, 0);
    assert.equal(budget.level, 0);
    call.use(700, 0);
    call.use(650, 0);
    assert.deepEqual(state(), [-100, 600, 600]);
    assert.equal(budget.waitMs(1), 10_100);
    call.settle(710, 0);
    assert.deepEqual(state(), [-110, 0, 0]);
  });

  it('follows a changed limit, and loses nothing of what is set aside', () => {
    const { budget, reserve, state } = setUp();
    const call = reserve(400);
    budget.perMinute = 300;
    assert.deepEqual(state(), [200, 400, 400]);
    call.settle(50, 0);
    assert.deepEqual(state(), [300, 0, 0], 'no more than the new limit');
    budget.perMinute = 6_000;
    budget.refill(1_000);
    assert.equal(budget.level, 400);
  });
});

describe('tokens of callers', () => {
  interface Running {
    readonly caller: string;
    readonly reserved: number;
    readonly reservation: TokenReservation;
  }
  const CALLERS = ['web', 'batch'];
  const PATH = '/vllm.grpc.engine.VllmEngine/Generate';
  const steps = fc.array(
    fc.record({
      ms: fc.nat({ max: 5_000 }),
      act: fc.constantFrom('arrive', 'arrive', 'end', 'end', 'twice', 'reload'),
      caller: fc.nat({ max: 1 }),
      prompt: fc.nat({ max: 400 }),
      output: fc.nat({ max: 400 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      isRead: fc.boolean(),
    }),
    { maxLength: 120 },
  );

  it('are never more than a minute has and the time brings, whoever arrives, ends and changes the limit when', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const ledger = new TokenLedger();
        let perMinute = PER_MINUTE;
        const limitsFrom = (before?: RateLimits) =>
          new RateLimits([{ callers: ['*'], methods: ['*'], tokensPerMinute: perMinute }], before, ledger);
        let limits = limitsFrom();
        let nowMs = 0;
        /** What the time has brought, at the limits that were in force. */
        let brought = 1.5 * PER_MINUTE;
        const running: Running[] = [];
        const used = new Map(CALLERS.map((caller) => [caller, 0]));
        const refused = { count: 0 };
        for (const { ms, act, caller: which, prompt, output, share, isRead } of all) {
          nowMs += ms;
          // A bucket learns of a changed limit at its next call: the larger of two holds for what came between.
          brought += (ms * 1.5 * PER_MINUTE) / 60_000;
          const caller = CALLERS[which]!;
          const call = { caller, path: PATH, model: '', version: '', isUnreadable: false };
          if (act === 'arrive') {
            const cost = { prompt, output, sequences: 1, isRead };
            const found = limits.reserve(call, cost, nowMs);
            const needed = isRead ? prompt + output : perMinute;
            if (found instanceof TokenReservation) {
              assert.ok(needed <= perMinute);
              running.push({ caller, reserved: needed, reservation: found });
            } else {
              refused.count++;
              assert.ok(found !== null && found.waitMs > 0);
              assert.equal(found.waitMs === Number.POSITIVE_INFINITY, needed > perMinute);
            }
          } else if (act === 'reload') {
            perMinute = PER_MINUTE * (share < 0.5 ? 1 : 1.5);
            limits = limitsFrom(limits);
          } else if (running.length > 0) {
            const [done] = running.splice(Math.floor(share * (running.length - 1)), 1) as [Running];
            const part = Math.floor(done.reserved * share);
            done.reservation.settle(part, nowMs);
            if (act === 'twice') done.reservation.settle(0, nowMs);
            used.set(done.caller, used.get(done.caller)! + part);
          }
          for (const each of CALLERS) {
            const held = running.reduce((sum, one) => sum + (one.caller === each ? one.reserved : 0), 0);
            assert.ok(used.get(each)! + held <= brought + 1e-6, `${each}: ${used.get(each)} + ${held}`);
          }
          const reserved = running.reduce((sum, one) => sum + one.reserved, 0);
          assert.equal(ledger.reserved, reserved);
        }
        for (const { reservation } of running) reservation.settle(0, nowMs);
        assert.equal(ledger.reserved, 0, 'at rest nothing is set aside');
        assert.equal(limits.refused, refused.count);
      }),
      { numRuns: runs(200) },
    );
  });
});
