import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ArmRun } from '../../../../../sidecar/cli/chaos/history/record.js';
import { parseHistory } from '../../../../../sidecar/cli/chaos/report/stored-history.js';
import { pictureName, writeReport } from '../../../../../sidecar/cli/chaos/report/write-report.js';
import { madeHistory, madeRun } from '../../../../kit/chaos/made-history.js';
import { scratchForEach } from '../../../../kit/mocha/scratch.js';
import { seeded } from '../../../../kit/time/seeded-random.js';

const run = (drill: string, arm: ArmRun['arm'], failForMs: number): ArmRun =>
  madeRun({ random: seeded(5), drill, arm, failForMs, seconds: 5 });

describe('a report', () => {
  const scratch = scratchForEach();
  const file = (name: string): string => readFileSync(join(scratch.path, 'out', name), 'utf8');

  it('is a page, the history, figures as JSON and CSV, and a picture for each drill and arm', () => {
    const history = madeHistory([
      run('kill', 'outrider', 0),
      run('kill', 'envoy', 500),
      run('nan', 'outrider', 0),
    ]);
    const summary = writeReport(history, join(scratch.path, 'out'));
    assert.deepEqual(readdirSync(join(scratch.path, 'out')).sort(), [
      ...['figures.csv', 'figures.json', 'history.json', 'index.html'],
      ...['kill.envoy.svg', 'kill.outrider.svg', 'nan.outrider.svg'],
    ]);
    assert.equal(summary.verdict.isKept, true);
    assert.deepEqual(JSON.parse(file('figures.json')), JSON.parse(JSON.stringify(summary)));
    assert.equal(file('figures.csv').split('\n').length, 5);
  });

  it('leaves no picture of the report before it in the folder, and every other file', () => {
    const out = join(scratch.path, 'out');
    writeReport(madeHistory([run('kill', 'outrider', 0), run('nan', 'outrider', 0)]), out);
    writeFileSync(join(out, 'mine.outrider.svg'), '<svg/>');
    writeReport(madeHistory([run('kill', 'outrider', 0)]), out);
    const pictures = () => readdirSync(out).filter((name) => name.endsWith('.svg'));
    assert.deepEqual(pictures().sort(), ['kill.outrider.svg', 'mine.outrider.svg']);
    for (const odd of ['nonsense', 'null', '{"figures":[null,{"drill":"mine","arm":"../mine"}]}']) {
      writeFileSync(join(out, 'figures.json'), odd);
      writeReport(madeHistory([run('nan', 'outrider', 0)]), out);
    }
    assert.deepEqual(pictures().sort(), ['kill.outrider.svg', 'mine.outrider.svg', 'nan.outrider.svg']);
  });

  it('is the same page again from the stored history', () => {
    writeReport(madeHistory([run('kill', 'outrider', 700)]), join(scratch.path, 'out'));
    const page = file('index.html');
    writeReport(parseHistory(file('history.json')), join(scratch.path, 'out'));
    assert.equal(file('index.html'), page);
  });

  it('counts the marks of each picture', () => {
    const whole = run('kill', 'outrider', 0);
    // The fault itself is drawn, and no mark.
    const single = { ...run('nan', 'outrider', 0), marks: whole.marks.slice(0, 2) };
    writeReport(madeHistory([whole, single]), join(scratch.path, 'out'));
    const counts = [...file('index.html').matchAll(/<summary>(\d+ marks?)<\/summary>/g)];
    assert.deepEqual(
      counts.map(([, text]) => text),
      ['4 marks', '1 mark'],
    );
  });

  it('loads nothing, and shows hostile texts as texts', () => {
    const hostile = '"><img src=x onerror=alert(1)><script>alert(2)</script>&amp;';
    const broken = run(hostile, 'outrider', 300);
    const history = madeHistory([
      {
        ...broken,
        calls: broken.calls.map((call) => ({ ...call, id: `${hostile}${call.id}`, answers: 2 })),
        marks: broken.marks.map((mark) => ({ ...mark, text: hostile, replica: hostile })),
      },
    ]);
    const about = {
      ...history.about,
      command: hostile,
      versions: { [hostile]: hostile },
      arms: { outrider: hostile },
    };
    const skipped = [{ drill: hostile, arm: 'envoy' as const, because: hostile }];
    const drills = [{ name: hostile, title: hostile, does: hostile }];
    writeReport({ ...history, about, skipped, drills }, join(scratch.path, 'out'));
    for (const name of ['index.html', pictureName(hostile, 'outrider')]) {
      const text = file(name);
      assert.doesNotMatch(text, /<img|<script|&amp;amp;(?!amp;)[^&]*<img/, name);
      assert.match(text, /&lt;img src=x onerror=alert\(1\)&gt;/, name);
    }
    // The only addresses are places on the page and the name of the format.
    const targets = [...file('index.html').matchAll(/(?:src|href|url)\s*[=(]\s*"?([^"\s>)]*)/g)].map(
      ([, at]) => at!,
    );
    assert.deepEqual(
      targets.filter((at) => !at.startsWith('#') && at !== 'x'),
      [],
    );
  });

  it('says what does not hold at the top, and lists examples of it', () => {
    const broken = run('kill', 'outrider', 0);
    const calls = broken.calls.map((call) => ({ ...call, answers: 2 }));
    const summary = writeReport(madeHistory([{ ...broken, calls }]), join(scratch.path, 'out'));
    assert.equal(summary.examples.length, 3);
    const page = file('index.html');
    assert.match(page, /class="verdict bad"/);
    assert.match(page, /invariants were broken 250 times \(answered-once in “kill”\)/);
    assert.match(page, /expected one answer; found 2 answers/);
  });

  it('shows the worst of several runs, and leaves out drills that were not run', () => {
    const runs = [run('kill', 'outrider', 0), run('kill', 'outrider', 900)];
    const history = madeHistory(runs);
    const drills = [...history.drills, { name: 'later', title: 'Not yet', does: 'Nothing.' }];
    writeReport({ ...history, drills }, join(scratch.path, 'out'));
    assert.match(file('index.html'), /worst of 2 runs/);
    assert.match(file('kill.outrider.svg'), /<path class="tl-failed"/);
    assert.doesNotMatch(file('index.html'), /Not yet/);
  });
});
