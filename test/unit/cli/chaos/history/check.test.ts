import assert from 'node:assert/strict';
import fc from 'fast-check';
import { checkRun, countByInvariant } from '../../../../../sidecar/cli/chaos/history/check.js';
import type { ArmRun, CallRecord, ExecutionRecord } from '../../../../../sidecar/cli/chaos/history/record.js';
import type { Invariant, Violation } from '../../../../../sidecar/cli/chaos/history/violation.js';
import { madeRun } from '../../../../kit/chaos/made-history.js';
import { seeded } from '../../../../kit/time/seeded-random.js';

/** One change of a clean history that breaks one invariant, at a place out of chance. */
interface Mutation {
  readonly title: string;
  readonly breaks: Invariant;
  /** The changed run and the call that is broken. */
  readonly plant: (run: ArmRun, at: number) => { run: ArmRun; callId: string };
}

const answered = (run: ArmRun): CallRecord[] => run.calls.filter(({ status }) => status === 0);
const pick = <T>(from: readonly T[], at: number): T => from[Math.floor(at * from.length)]!;

function changed(
  run: ArmRun,
  call: CallRecord,
  change: Partial<CallRecord>,
): { run: ArmRun; callId: string } {
  const calls = run.calls.map((other) => (other === call ? { ...call, ...change } : other));
  return { run: { ...run, calls }, callId: call.id };
}

function executed(run: ArmRun, execution: ExecutionRecord): { run: ArmRun; callId: string } {
  return { run: { ...run, executions: [...run.executions, execution] }, callId: execution.callId };
}

const MUTATIONS: readonly Mutation[] = [
  {
    title: 'a call that is never answered',
    breaks: 'answered-once',
    plant: (run, at) => changed(run, pick(run.calls, at), { answers: 0, status: 4, answer: 'none' }),
  },
  {
    title: 'a call that is answered twice',
    breaks: 'answered-once',
    plant: (run, at) => changed(run, pick(answered(run), at), { answers: 2 }),
  },
  {
    title: 'an answer that echoes another call',
    breaks: 'right-caller',
    plant: (run, at) => {
      const calls = answered(run).filter(({ degraded }) => !degraded);
      return changed(run, pick(calls, at), { answeredId: 'kill-outrider-none' });
    },
  },
  {
    title: 'a call that is executed again although it must not be',
    breaks: 'executed-once',
    plant: (run, at) => {
      const call = pick(
        answered(run).filter(({ idempotent, degraded }) => !idempotent && !degraded),
        at,
      );
      return executed(run, { callId: call.id, replica: 'digits-3', startMs: call.endMs });
    },
  },
  {
    title: 'a call that is over 60 ms after its deadline',
    breaks: 'deadline-kept',
    plant: (run, at) => {
      const call = pick(
        run.calls.filter(({ deadlineMs }) => deadlineMs !== undefined),
        at,
      );
      return changed(run, call, { endMs: call.deadlineMs! + 60 });
    },
  },
  {
    title: 'an answer of a stand-in without the mark',
    breaks: 'degraded-marked',
    plant: (run, at) =>
      changed(
        run,
        pick(
          run.calls.filter(({ degraded }) => degraded),
          at,
        ),
        { degraded: false },
      ),
  },
  {
    title: 'an answer that no model computed, without the mark',
    breaks: 'degraded-marked',
    plant: (run, at) => {
      const call = pick(
        answered(run).filter(({ degraded }) => !degraded),
        at,
      );
      const { endpoint: _, ...rest } = call;
      const executions = run.executions.filter(({ callId }) => callId !== call.id);
      const calls = run.calls.map((other) => (other === call ? rest : other));
      return { run: { ...run, calls, executions }, callId: call.id };
    },
  },
  {
    title: 'a second call at an ejected endpoint, beyond the bound',
    breaks: 'ejected-left-alone',
    plant: (run, at) => {
      const ejected = run.marks.find(({ kind }) => kind === 'ejected')!;
      const calls = answered(run).filter(
        ({ startMs, idempotent }) =>
          idempotent && startMs > ejected.atMs + 1_000 && startMs < ejected.atMs + 1_990,
      );
      const call = pick(calls.slice(2), at);
      const sent = (one: CallRecord): ExecutionRecord => ({
        callId: one.id,
        replica: ejected.replica!,
        startMs: one.startMs + 1,
      });
      // The first two may be probes, by their rate.
      const executions = [...run.executions, ...[calls[0]!, calls[1]!, call].map(sent)];
      return { run: { ...run, executions }, callId: call.id };
    },
  },
  {
    title: 'two calls with one id',
    breaks: 'history-sound',
    plant: (run, at) => {
      const call = pick(run.calls, at);
      return { run: { ...run, calls: [...run.calls, call] }, callId: call.id };
    },
  },
  {
    title: 'an execution before its call',
    breaks: 'history-sound',
    plant: (run, at) => {
      const call = pick(
        run.calls.filter(({ idempotent }) => idempotent),
        at,
      );
      return executed(run, { callId: call.id, replica: 'digits-1', startMs: call.startMs - 50 });
    },
  },
];

const SEEDS = fc.integer({ min: 0, max: 2 ** 31 });

describe('the checker of a history', () => {
  it('finds nothing in a clean history, whatever happened in it', () => {
    fc.assert(
      fc.property(SEEDS, fc.constantFrom(0, 700, 2_500), (seed, failForMs) => {
        assert.deepEqual(checkRun(madeRun({ random: seeded(seed), failForMs })), []);
      }),
      { numRuns: 20 },
    );
  });

  for (const { title, breaks, plant } of MUTATIONS)
    it(`finds ${title}, and names the call, the arm and the drill`, () => {
      fc.assert(
        fc.property(SEEDS, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (seed, at) => {
          const planted = plant(madeRun({ random: seeded(seed), drill: 'freeze', arm: 'envoy' }), at);
          const found = checkRun(planted.run).map(({ invariant, drill, arm, callId }) => [
            invariant,
            drill,
            arm,
            callId,
          ]);
          assert.deepEqual(found, [[breaks, 'freeze', 'envoy', planted.callId]]);
        }),
        { numRuns: 10 },
      );
    });

  it('counts by invariant, zeros included', () => {
    const violation: Violation = {
      invariant: 'executed-once',
      drill: 'kill',
      arm: 'round-robin',
      callId: 'c-7',
      expected: 'at most one execution',
      found: '2',
    };
    assert.deepEqual(countByInvariant([violation, violation]), {
      'answered-once': 0,
      'executed-once': 2,
      'right-caller': 0,
      'deadline-kept': 0,
      'degraded-marked': 0,
      'ejected-left-alone': 0,
      'well-left-alone': 0,
      'history-sound': 0,
    });
  });
});
