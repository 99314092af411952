import assert from 'node:assert/strict';
import type { ArmRun } from '../../../../../sidecar/cli/chaos/history/record.js';
import { renderPage } from '../../../../../sidecar/cli/chaos/report/page/page.js';
import { lossText, verdictText } from '../../../../../sidecar/cli/chaos/report/printed.js';
import { buildReport, type Summary, summaryOf } from '../../../../../sidecar/cli/chaos/report/report.js';
import { paletteFor } from '../../../../../sidecar/cli/terminal.js';
import { madeHistory, madeRun } from '../../../../kit/chaos/made-history.js';
import { constant } from '../../../../kit/time/seeded-random.js';

const PLAIN = paletteFor({ write: () => {} }, {});
const run = (drill: string, arm: ArmRun['arm'], failForMs: number): ArmRun =>
  madeRun({ random: constant(0.5), drill, arm, failForMs, degradeForMs: 0 });
const summary = (...runs: readonly ArmRun[]): Summary => summaryOf(buildReport(madeHistory(runs)));

describe('what is printed of a report', () => {
  it('is a line for each arm of a drill', () => {
    const { figures } = summary(
      run('kill', 'outrider', 0),
      run('kill', 'envoy', 700),
      run('kill', 'pick-first', 9_000),
    );
    assert.deepEqual(figures.map(lossText), [
      'none lost of 500, not disturbed, p99 5.5 ms',
      '117 failed of 500, not recovered, p99 5.5 ms',
      '12 failed of 500, recovered in 1 s, p99 5.5 ms',
    ]);
  });

  it('says which arms have nothing to break, and which drills were not run', () => {
    const history = madeHistory([
      run('gone', 'outrider', 0),
      run('kill', 'envoy', 0),
      run('kill', 'outrider', 0),
    ]);
    const skipped = [
      { drill: 'gone', arm: 'envoy', because: 'static addresses', isUntouched: true },
      { drill: 'disk', arm: 'outrider', because: 'only root may do that' },
      { drill: 'disk', arm: 'envoy', because: 'only root may do that' },
    ] as const;
    const report = buildReport({ ...history, skipped });
    assert.deepEqual(verdictText(summaryOf(report), PLAIN).split('\n').slice(1, 6), [
      'scenario  Outrider  Envoy',
      'gone      0 / 0 s   n/a',
      'kill      0 / 0 s   0 / 0 s',
      'n/a: the setup has nothing that this scenario could break',
      'disk: not run: only root may do that',
    ]);
    // An arm that a drill does not concern is no arm that Outrider has beaten.
    assert.deepEqual(
      report.verdict.comparisons.map(({ drill, other }) => `${drill} ${other}`),
      ['kill envoy'],
    );
    assert.equal(
      summaryOf(buildReport(madeHistory([]))).verdict.sentence,
      'No scenario was run, so there is no verdict.',
    );
    const page = renderPage(report);
    assert.match(page, /<small title="static addresses">not concerned<\/small>/);
    assert.match(page, /<li><code>disk<\/code>: only root may do that<\/li>/);
  });

  it('is a table and a sentence, with what was broken and what is worse between them', () => {
    const worse = run('kill', 'outrider', 2_000);
    const calls = worse.calls.map((call, i) => (i === 5 ? { ...call, answers: 2 } : call));
    const text = verdictText(
      summary({ ...worse, calls }, run('kill', 'envoy', 0), run('nan', 'outrider', 0)),
      PLAIN,
    );
    assert.deepEqual(text.split('\n').slice(1), [
      'scenario  Outrider  Envoy',
      'kill      34 / 2 s  0 / 0 s',
      'nan       0 / 0 s   –',
      'kill: answered-once was broken 1 time',
      'kill: worse than Envoy by calls: 34 bad calls of 500, beside 0 of 500',
      'Failed: invariants were broken 1 time (answered-once in “kill”), and Outrider did worse than Envoy in “kill”. In 2 scenarios, 34 of 1,000 calls through Outrider failed, were wrong or ran twice.',
    ]);
  });

  it('says beside a kept promise why calls failed all the same', () => {
    const lost = verdictText(summary(run('kill', 'outrider', 2_000)), PLAIN).split('\n');
    assert.match(lost.at(-2)!, /^In one scenario, 34 of 500 calls .* No call broke an invariant\.$/);
    assert.match(
      lost.at(-1)!,
      /^An invariant is a rule that no call may break: .* An error in time breaks no invariant/,
    );
    const none = verdictText(summary(run('kill', 'outrider', 0)), PLAIN).split('\n');
    assert.match(none.at(-1)!, /No call broke an invariant\.$/);
  });
});
