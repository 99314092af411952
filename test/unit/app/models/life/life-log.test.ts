/** States of versions: logged, counted, kept, and taken up by the next process. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LifeLog } from '../../../../../sidecar/app/models/life/life-log.js';
import type { LifeFacts } from '../../../../../sidecar/core/models/life-facts.js';
import { createLogger } from '../../../../../sidecar/runtime/log/logger.js';
import { StateFile } from '../../../../../sidecar/runtime/process/state-file.js';
import { scratchForEach } from '../../../../kit/mocha/scratch.js';
import { ManualClock } from '../../../../kit/time/manual-clock.js';

describe('the log of states', () => {
  const scratch = scratchForEach();
  const clock = new ManualClock();
  let lines: string[];
  const revision = (version = '1', fingerprint = 'a') => ({ name: 'digits', version, fingerprint });
  const facts = (load: LifeFacts['load'], overrides: Partial<LifeFacts> = {}): LifeFacts => ({
    ...{ load, processes: ['ready'], isHeld: false, isProven: false, rejection: '', suspicion: '' },
    ...overrides,
  });
  const open = (instance = 'mine-1'): LifeLog => {
    const write = (line: string) => void lines.push(line);
    const logger = createLogger({ level: 'info', destination: { write } });
    const file = new StateFile(join(scratch.path, 'models.json'), logger, clock);
    return new LifeLog({ clock, logger, instance, file });
  };
  beforeEach(() => {
    lines = [];
  });

  it('names each transition with its cause, and counts it', () => {
    const log = open();
    const one = revision();
    log.observe(one, facts('loading', { processes: ['starting'] }), 'starting');
    log.observe(one, facts('ready'), 'ready');
    log.observe(one, facts('ready'), 'ready');
    log.observe(one, facts('ready', { suspicion: 'its memory grows' }), 'its memory grows');
    assert.deepEqual(
      log.transitions().map(({ from, to, count }) => `${from}>${to} ${count}`),
      ['pending>loading 1', 'loading>warming 1', 'warming>golden 1', 'golden>serving 1', 'serving>suspect 1'],
    );
    assert.match(lines.at(-1)!, /model version suspect/);
    assert.match(lines.at(-1)!, /its memory grows/);
    assert.deepEqual(
      log.reports().map(({ name, version, state, why }) => ({ name, version, state, why })),
      [{ name: 'digits', version: '1', state: 'suspect', why: 'its memory grows' }],
    );
  });

  it('tells two revisions of one version apart while one takes over from the other', () => {
    const log = open();
    const [old, fresh] = [revision('1', 'a'), revision('1', 'b')];
    log.observe(old, facts('ready'), 'ready');
    log.observe(fresh, facts('loading', { processes: ['starting'] }), 'starting');
    log.observe(old, facts('unloading'), 'unloaded');
    assert.deepEqual(
      log.reports().map(({ state }) => state),
      ['draining', 'loading'],
    );
    log.ended(old, 'its calls have ended');
    log.observe(revision('1', 'c'), facts('ready'), 'ready');
    assert.deepEqual(
      log.reports().map(({ state }) => state),
      ['loading', 'serving'],
    );
  });

  it('keeps what was rejected and given up for the process after this one', () => {
    const before = open();
    before.observe(revision('1'), facts('ready'), 'ready');
    before.observe(revision('2', 'bad'), facts('failed'), 'the golden output differs');
    before.observe(revision('3'), facts('loading', { processes: ['given-up'] }), 'given up after 5 starts');
    before.keep('pins', { digits: '1' });
    before.close();
    const log = open();
    assert.equal(log.whyRejected(revision('2', 'bad')), 'the golden output differs');
    assert.equal(log.whyRejected(revision('2', 'mended')), undefined);
    assert.equal(log.whyRejected(revision('1')), undefined);
    const mended = [revision('2', 'mended'), revision('2', 'bad'), revision('1', 'other'), revision('9')];
    assert.deepEqual(
      mended.map((each) => log.isMended(each)),
      [true, false, false, false],
    );
    assert.equal(log.wasGivenUp('digits', '3'), true);
    assert.equal(log.wasGivenUp('digits', '1'), false);
    assert.deepEqual(log.recall('pins'), { digits: '1' });
    assert.deepEqual(
      lines.filter((line) => /state file/.test(line)),
      [],
    );
  });

  it('keeps why a version was rejected while it is unloaded for that', () => {
    const log = open();
    const bad = revision('2');
    log.observe(bad, facts('failed', { processes: [] }), 'model.onnx is another file');
    log.observe(bad, facts('unloading', { processes: [] }), 'another version has taken over');
    log.ended(bad, 'its calls have ended');
    assert.deepEqual(
      log.reports().map(({ state, why }) => [state, why]),
      [['rejected', 'model.onnx is another file']],
    );
  });

  it('says and ignores a file that is torn, of another instance, or of another format', () => {
    const path = join(scratch.path, 'models.json');
    const before = open();
    before.observe(revision('2', 'bad'), facts('failed'), 'the golden output differs');
    before.close();
    const whole = readFileSync(path, 'utf8');
    const other = [
      whole.slice(0, 40),
      '',
      '[]',
      'null',
      '{"format":2}',
      whole.replace('"rejected"', '"other"'),
    ];
    for (const text of other) {
      lines = [];
      writeFileSync(path, text);
      assert.equal(open().whyRejected(revision('2', 'bad')), undefined, text);
      assert.match(lines.join('\n'), /a state file is ignored/, text);
    }
    writeFileSync(path, whole);
    assert.equal(open('mine-2').past.length, 0);
    assert.equal(open().past.length, 1);
  });

  it('sums the states up in one line', () => {
    const log = open();
    log.observe(revision('1'), facts('ready'), 'ready');
    log.observe({ name: 'words', version: '', fingerprint: '' }, facts('failed'), 'no such file');
    log.observe({ name: '', version: '', fingerprint: '' }, facts('ready'), 'ready');
    assert.equal(log.summary, 'digits:1=serving words:-=rejected');
  });

  it('forgets what is over and gone from the directory, and counts no more than 64 versions apart', () => {
    const log = open();
    const all = Array.from({ length: 70 }, (_, i) => revision(String(i + 1)));
    for (const each of all) log.observe(each, facts('failed'), 'no such file');
    assert.equal(log.reports().length, 70);
    log.keepOnly(all.slice(0, 2));
    assert.equal(log.reports().length, 2);
    assert.equal(log.transitions().length, 65);
    assert.deepEqual(
      log
        .transitions()
        .filter(({ version }) => version === 'other')
        .map(({ count }) => count),
      [6],
    );
  });
});
