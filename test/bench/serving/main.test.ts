import assert from 'node:assert/strict';
import type { PacedRun, ServingRun } from './main.js';
import { missedBars, renderServing } from './table.js';

const run = (model: string, subject: string, callers: number, cpuUs: number): ServingRun => ({
  ...{ model, subject, callers, cpuUs, perSecond: 1e6 / cpuUs, p50Us: 10, p99Us: 20, rssMb: 80, problem: '' },
});

const paced = (subject: string, p99Us: number): PacedRun => ({
  ...{ model: 'digits', subject, rate: 500, cpuUs: 50, perSecond: 499, p50Us: 10, p99Us, rssMb: 80 },
  ...{ lateP99Us: 3, problem: '' },
});

const words = (line: string | undefined): string[] => line!.trim().split(/\s+/);

describe('the table of servers of models', () => {
  const alone = { embed: [{ cpuUs: 950, togetherUs: 900, rssMb: 200 }] };

  it('shows medians over the turns, and the share of what the model does alone with as many requests', () => {
    const runs = [
      ...[run('embed', 'grpc-js', 32, 1800), run('embed', 'engine', 1, 1900)],
      ...[
        run('embed', 'engine', 32, 1000),
        run('embed', 'engine', 32, 1800),
        run('embed', 'engine', 32, 900),
      ],
    ];
    const lines = renderServing({ runs, paced: [], alone }).split('\n');
    assert.deepEqual(words(lines[1]), ['embed', 'alone', '1', '950.0', '1053', '200']);
    assert.deepEqual(words(lines[2]), ['embed', 'alone', '32', '900.0', '1111', '200']);
    assert.deepEqual(words(lines[3]).slice(0, 4), ['embed', 'engine', '1', '1900.0']);
    assert.deepEqual(words(lines[4]), [
      ...['embed', 'engine', '32', '1000.0', '1000', '1000', '10', '20', '80', '0.90'],
    ]);
    assert.deepEqual(words(lines[5]).slice(0, 2), ['embed', 'grpc-js']);
    assert.equal(lines.length, 6);
  });

  it('shows all at the rate of Python’s server, and their p99 against its', () => {
    const report = { runs: [], alone: {}, paced: [paced('grpcio', 4000), paced('engine', 1000)] };
    const lines = renderServing(report).split('\n');
    assert.deepEqual(words(lines[3]), ['digits', 'engine', '500', '499', '50.0', '10', '1000', '3', '0.25']);
    assert.deepEqual(words(lines[4]).slice(-3), ['4000', '3', '1.00']);
  });

  it('leaves runs with a problem out of the medians, and says the problem', () => {
    const broken = { ...run('embed', 'engine', 32, Number.NaN), problem: 'it did not start' };
    const lines = renderServing({
      runs: [broken, run('embed', 'engine', 32, 900)],
      paced: [],
      alone,
    }).split('\n');
    assert.deepEqual(words(lines[3]).slice(0, 4), ['embed', 'engine', '32', '900.0']);
    assert.match(lines[3]!, /✗ it did not start$/);
  });

  it('tells which bar is missed, and none of what was not measured', () => {
    const missed = (runs: ServingRun[], rates: PacedRun[] = []): string[] =>
      missedBars({ runs, paced: rates, alone });
    assert.deepEqual(missedBars({ runs: [], paced: [], alone: {} }), []);
    assert.deepEqual(missed([run('digits', 'engine', 32, 40)], [paced('engine', 9)]), []);
    assert.deepEqual(missed([run('digits', 'engine', 32, 41), run('digits', 'grpc-js', 32, 9)]), [
      'digits: 41.0 µs a call; the bar is 40',
    ]);
    assert.deepEqual(missed([run('embed', 'engine', 32, 1001), run('embed', 'engine', 1, 1055)]), [
      'embed, 32 in flight: 0.90 of the model alone; the bar is 0.9',
    ]);
    assert.deepEqual(missed([], [paced('grpcio', 4000), paced('engine', 4040)]), [
      'digits: p99 at one rate 1.01 times that of grpcio; the bar is 1',
    ]);
    assert.deepEqual(missed([], [paced('grpcio', 4000), paced('engine', 4000)]), []);
  });
});
