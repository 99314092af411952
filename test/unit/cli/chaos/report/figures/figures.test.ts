import assert from 'node:assert/strict';
import { COLUMNS } from '../../../../../../sidecar/cli/chaos/report/figures/columns.js';
import { badCalls, figuresOf } from '../../../../../../sidecar/cli/chaos/report/figures/figures.js';
import { madeRun } from '../../../../../kit/chaos/made-history.js';
import { constant, seeded } from '../../../../../kit/time/seeded-random.js';

describe('the figures of an arm', () => {
  it('add the counts of repeated runs, and give medians and extremes of their times', () => {
    const runs = [0, 700, 1_200].map((failForMs, i) =>
      madeRun({ random: seeded(i), failForMs, degradeForMs: 0 }),
    );
    const [figures, ...rest] = figuresOf(runs);
    assert.equal(rest.length, 0);
    assert.equal(figures!.runs, 3);
    // Every third of 50 calls a second fails, for 0, 0.7 and 1.2 s.
    assert.deepEqual([figures!.counts.calls, figures!.counts.failed, badCalls(figures!)], [1_500, 32, 32]);
    assert.deepEqual(figures!.badShares, [0, 12 / 500, 20 / 500]);
    assert.deepEqual(figures!.recoveryMs, { median: 1_000, least: 0, most: 1_500 });
    assert.equal(figures!.availability, (1_500 - 32) / 1_500);
    assert.equal(figures!.cpuUs, 50);
  });

  it('are apart by drill and arm, in the order of the runs', () => {
    const runs = (['kill envoy', 'kill outrider', 'nan envoy', 'kill envoy'] as const).map((name) => {
      const [drill, arm] = name.split(' ') as ['kill' | 'nan', 'envoy' | 'outrider'];
      return madeRun({ random: constant(0.5), drill, arm, seconds: 1 });
    });
    const found = figuresOf(runs).map(({ drill, arm, runs }) => `${drill} ${arm} ${runs}`);
    assert.deepEqual(found, ['kill envoy 2', 'kill outrider 1', 'nan envoy 1']);
  });

  it('measure latencies after the fault, of answered calls of the main model', () => {
    const run = madeRun({ random: constant(0.5), degradeForMs: 0, seconds: 4 });
    const calls = run.calls.map((call) => {
      if (call.startMs < 3_000) return { ...call, endMs: call.startMs + 80 };
      if (call.model !== 'digits') return { ...call, endMs: call.startMs + 900 };
      return call.startMs < 3_500
        ? { ...call, status: 14, answer: 'none' as const, endMs: call.startMs + 700 }
        : call;
    });
    const [figures] = figuresOf([{ ...run, calls }]);
    assert.deepEqual([figures!.p50Ms?.median, figures!.p99Ms?.median], [5.5, 5.5]);
  });

  it('of a run without calls, without CPU time or without a fault have no shares and no times', () => {
    const { cpuMs: _, ...run } = madeRun({ random: constant(0.5), seconds: 1 });
    const [figures] = figuresOf([{ ...run, calls: [], executions: [], marks: [] }]);
    assert.deepEqual(
      COLUMNS.map(({ key, text }) => `${key} ${text(figures!)}`),
      [
        'calls 0',
        'availability –',
        ...['failed 0', 'degraded 0', 'wrong 0', 'duplicated 0'],
        ...['detect_ms –', 'eject_ms –', 'first_good_ms –', 'recovery_ms –', 'p50_ms –', 'p99_ms –'],
        ...['accuracy_lost –', 'extra_attempts 0 %', 'cpu_us_per_call –', 'violations 0'],
      ],
    );
  });

  it('are written with the range of several runs', () => {
    const runs = [0, 1_200].map((failForMs) =>
      madeRun({ random: constant(0.5), failForMs, degradeForMs: 0 }),
    );
    const [figures] = figuresOf(runs);
    const recovery = COLUMNS.find(({ key }) => key === 'recovery_ms');
    assert.equal(recovery!.text(figures!), '750 ms (0 s to 1.5 s)');
  });
});
