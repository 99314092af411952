/** `outrider chaos` as an operator runs it: one short drill, and command lines that are wrong. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { whyNoOwnNetwork } from '../../sidecar/cli/chaos/faults/own-network.js';
import type { Summary } from '../../sidecar/cli/chaos/report/report.js';
import { runs } from '../kit/mocha/effort.js';
import { outrider, Scratch } from '../kit/process/outrider.js';
import { processesWith } from '../kit/process/processes.js';
import { toolOrSkip } from '../kit/process/tools.js';

const RUNS = Math.min(2, runs(1));

describe('outrider chaos', function () {
  this.timeout(180_000);
  let place: Scratch;
  beforeEach(() => {
    place = new Scratch();
  });
  afterEach(() => place.remove());

  it('breaks a mesh of its own, tells what its callers lost, and leaves nothing behind', async () => {
    const { code, stdout, stderr } = await outrider(
      [
        'chaos',
        'kill',
        '--quick',
        '--runs',
        `${RUNS}`,
        '--setups',
        'outrider',
        '--json',
        '--report',
        join(place.path, 'report'),
      ],
      {
        TMPDIR: place.path,
      },
    );
    assert.equal(code, 0, stderr + stdout);
    const { figures, verdict } = JSON.parse(stdout) as Summary;
    assert.equal(verdict.isKept, true);
    assert.deepEqual(
      figures.map(({ drill, arm, runs }) => [drill, arm, runs]),
      [['kill', 'outrider', RUNS]],
    );
    assert.ok(figures[0]!.counts.calls > 100, stdout);
    assert.equal(figures[0]!.duplicated, 0);
    // Nothing but the report is left.
    assert.deepEqual(readdirSync(place.path), ['report']);
    const report = join(place.path, 'report');
    assert.deepEqual(readdirSync(report).sort(), [
      ...['figures.csv', 'figures.json', 'history.json', 'index.html', 'kill.outrider.svg'],
    ]);
    const again = join(place.path, 'again');
    const rendered = await outrider(['chaos', '--render', join(report, 'history.json'), '--report', again]);
    assert.equal(rendered.code, 0, rendered.stderr);
    assert.match(
      rendered.stdout,
      /In one scenario, \d+ of [\d,]+ calls through Outrider .* No call broke an invariant\./,
    );
    assert.equal(
      readFileSync(join(again, 'index.html'), 'utf8'),
      readFileSync(join(report, 'index.html'), 'utf8'),
    );
    rmSync(join(again, 'history.json'));
    // What was found is printed, also where the report cannot be written.
    mkdirSync(join(again, 'history.json', 'taken'), { recursive: true });
    const unwritten = await outrider(['chaos', '--render', join(report, 'history.json'), '--report', again]);
    assert.deepEqual([unwritten.code, unwritten.stdout], [1, rendered.stdout]);
    assert.match(unwritten.stderr, /--report .*again: not written, or not whole: EISDIR/);
    assert.deepEqual(processesWith(place.path), []);
  });

  it('drops packets in a network of its own, and nowhere else', async function () {
    await toolOrSkip(this, 'iptables');
    const why = whyNoOwnNetwork();
    if (why !== undefined) {
      process.stderr.write(`\nSKIPPING TESTS: ${why}\n`);
      return this.skip();
    }
    const ownRules = () => spawnSync('iptables', ['-S'], { encoding: 'utf8' }).stdout;
    const before = ownRules();
    const args = ['chaos', 'partition', '--quick', '--setups', 'round-robin', '--json'];
    const { code, stdout, stderr } = await outrider(args, { TMPDIR: place.path });
    assert.equal(code, 0, stderr + stdout);
    const { figures } = JSON.parse(stdout) as Summary;
    assert.deepEqual(
      figures.map(({ drill, arm }) => [drill, arm]),
      [['partition', 'round-robin']],
    );
    // A stock client goes on sending to the replica that it hears nothing of.
    const { counts } = figures[0]!;
    assert.ok(counts.failed > 5 && counts.right > counts.failed, stdout);
    assert.equal(ownRules(), before);
    assert.deepEqual(readdirSync(place.path), []);
    assert.deepEqual(processesWith(place.path), []);
  });

  it('makes a report again only from a history, and says what is wrong with another file', async () => {
    const file = join(place.path, 'history.json');
    const alone = await outrider(['chaos', '--render', file]);
    assert.deepEqual(
      [alone.code, alone.stderr],
      [2, 'outrider: --render FILE needs --report DIR, where the report is written\n'],
    );
    writeFileSync(file, '{"format":2}');
    const other = await outrider(['chaos', '--render', file, '--report', place.path]);
    assert.equal(other.code, 2);
    assert.match(
      other.stderr,
      /history\.json is no history of `outrider chaos`: format: found 2; expected 1/,
    );
    const taken = await outrider(['chaos', 'kill', '--report', file]);
    assert.equal(taken.code, 2);
    assert.match(taken.stderr, /--report .*history\.json: EEXIST/);
  });

  it('names the nearest drill for one that does not exist, and the arms there are', async () => {
    const drill = await outrider(['chaos', 'kil']);
    assert.equal(drill.code, 2);
    assert.match(
      drill.stderr,
      /there is no scenario kil; did you mean kill\?\noutrider: scenarios: kill, freeze, /,
    );
    const arm = await outrider(['chaos', '--setups', 'nginx']);
    assert.equal(arm.code, 2);
    assert.match(arm.stderr, /there is no setup nginx\noutrider: setups: outrider, pick-first/);
  });
});
