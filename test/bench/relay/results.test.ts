import assert from 'node:assert/strict';
import { renderChart } from './chart.js';
import { MADE_FIGURES } from './made-figures.js';
import type { Report } from './main.js';
import type { Figures } from './measure.js';
import { MODES } from './modes.js';
import { intervalOf, judge, type SubjectResult, slopeOf, spreadOf, summarise } from './results.js';

const MODE = MODES.find((mode) => mode.name === 'hop-128')!;

function runs(name: string, cpuUs: readonly number[], changes: Partial<Figures> = {}): SubjectResult {
  return summarise(
    { name, isPeer: !name.startsWith('outrider') },
    cpuUs.map((value) => ({ ...MADE_FIGURES, cpuUs: value, ...changes })),
    MODE,
  );
}

describe('the result of the relay benchmark', () => {
  it('takes medians and keeps the spread', () => {
    assert.deepEqual(spreadOf([9, 1, 5]), { median: 5, min: 1, max: 9 });
    assert.deepEqual(spreadOf([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4 });
  });

  it('compares ours with the best peer and says what was reached', () => {
    const peers = [runs('nginx', [30]), runs('haproxy', [20])];
    const verdicts = [3, 6, 8].map((ours) => judge(MODE, [runs('outrider', [ours]), ...peers]));
    assert.deepEqual(
      verdicts.map((v) => [v.bestPeer, v.ratio, v.verdict]),
      [
        ['haproxy', 0.15, 'aim'],
        ['haproxy', 0.3, 'bar'],
        ['haproxy', 0.4, 'missed'],
      ],
    );
  });

  it('holds what is measured of ours beside it against the same bar, and says what it costs', () => {
    const subjects = [runs('outrider', [4]), runs('outrider-all', [6]), runs('haproxy', [20])];
    const judged = judge(MODE, subjects);
    assert.equal(judged.ratio, 0.2);
    const interval = { from: 0.3, to: 0.3 };
    assert.deepEqual(judged.variants, [
      {
        name: 'outrider-all',
        cost: 1.5,
        costInterval: { from: 1.5, to: 1.5 },
        ratio: 0.3,
        interval,
        verdict: 'bar',
      },
    ]);
  });

  it('does not count a peer whose runs do not add up', () => {
    const broken = runs('haproxy', [1], { problem: '5 executions, 4 OK' });
    const judged = judge(MODE, [runs('outrider', [6]), runs('nginx', [30]), broken]);
    assert.equal(judged.bestPeer, 'nginx');
  });

  it('gives no verdict on runs of ours that do not add up', () => {
    const judged = judge(MODE, [runs('outrider', [1], { problem: '1 × reset 2' }), runs('nginx', [30])]);
    assert.equal(judged.verdict, 'not measured');
    assert.equal(judged.ratio, undefined);
  });

  it('misses a bar only where all that the runs leave open lies beyond it', () => {
    const peer = runs('haproxy', [20, 20, 20, 20, 20]);
    const verdictOf = (...ours: number[]) => judge(MODE, [runs('outrider', ours), peer]).verdict;
    assert.equal(verdictOf(8, 8.1, 7.9, 8, 8), 'missed');
    assert.equal(verdictOf(7.1, 7.2, 6.9, 7.1, 6.8), 'bar');
    assert.equal(verdictOf(4, 12, 8, 5, 9), 'undecided');
  });

  it('holds what is compared with no peer against the bar itself', () => {
    const idle = MODES.find(({ name }) => name === 'idle')!;
    const ours = [60, 61, 59].map((rssMb) => ({ ...MADE_FIGURES, cpuUs: 0, rssMb }));
    const judged = judge(idle, [summarise({ name: 'outrider', isPeer: false }, ours, idle)]);
    assert.deepEqual([judged.ratio, judged.verdict], [60, 'bar']);
  });

  it('has the ratio of equal runs at one, and a wide interval for what varies', () => {
    assert.deepEqual(intervalOf([5, 5, 5], [5, 5, 5]), { from: 1, to: 1 });
    const { from, to } = intervalOf([1, 10, 1, 10, 5], [5, 5, 5, 5, 5]);
    assert.ok(from <= 0.2 && to >= 2);
  });

  it('finds the slope of memory over calls', () => {
    const line = [0, 1, 2, 3].map((x) => ({ x, y: 50 + 2 * x }));
    assert.equal(slopeOf(line), 2);
    assert.equal(slopeOf(line.slice(0, 1)), 0);
  });

  it('draws bars in proportion', () => {
    const mode = judge(MODE, [runs('outrider', [5]), runs('nginx', [50])]);
    const machine = { cpu: 'a < b', cores: 2, memoryGb: 1, kernel: '6', node: 'v20' };
    const report: Report = { machine, versions: { nginx: '1' }, runs: 1, modes: [mode] };
    const svg = renderChart(report);
    const widths = [...svg.matchAll(/<rect class="(?:ours|peer)"[^>]* width="([\d.]+)"/g)].map((m) =>
      Number(m[1]),
    );
    assert.equal(widths.length, 2);
    assert.ok(Math.abs(widths[1]! / widths[0]! - 10) < 0.1);
    assert.ok(svg.includes('a &lt; b'));
  });
});
