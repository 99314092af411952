import assert from 'node:assert/strict';
import type { ServingRun } from './main.js';
import { missedBars, renderServing } from './table.js';

const run = (model: string, subject: string, callers: number, cpuUs: number): ServingRun => ({
  ...{ model, subject, callers, cpuUs, perSecond: 1e6 / cpuUs, p50Us: 10, p99Us: 20, rssMb: 80, problem: '' },
});

describe('the table of servers of models', () => {
  const alone = { embed: [{ cpuUs: 900, rssMb: 200 }] };

  it('shows medians over the turns, and the share of what the model does alone', () => {
    const runs = [
      run('embed', 'engine', 32, 1000),
      run('embed', 'engine', 32, 1800),
      run('embed', 'engine', 32, 900),
    ];
    const words = renderServing({ runs, alone }).split('\n').at(-1)!.trim().split(/\s+/);
    assert.deepEqual(words, ['embed', 'engine', '32', '1000.0', '1000', '10', '20', '80', '0.90']);
  });

  it('tells which bar is missed, and none of what was not measured', () => {
    assert.deepEqual(missedBars({ runs: [], alone: {} }), []);
    assert.deepEqual(missedBars({ runs: [run('digits', 'engine', 32, 40)], alone: {} }), []);
    assert.deepEqual(
      missedBars({ runs: [run('digits', 'engine', 32, 41), run('digits', 'grpc-js', 32, 9)], alone: {} }),
      ['digits: 41.0 µs a call; the bar is 40'],
    );
    assert.deepEqual(missedBars({ runs: [run('embed', 'engine', 32, 1001)], alone }), [
      'embed: 0.90 of the model alone; the bar is 0.9',
    ]);
  });
});
