/** How a rollout begins, and what commands make of it. */
import assert from 'node:assert/strict';
import {
  beginRollout,
  commandRollout,
  describeRollout,
  isOver,
  type RolloutRecord,
} from '../../../../sidecar/core/models/rollout.js';

const SETTINGS = { windowMs: 10_000, agreement: 0.98, samples: 50, canary: 0, maxLatency: 2, loadMs: 60_000 };
const PLAN = {
  service: 'mine',
  model: 'digits',
  version: '2',
  from: '1',
  settings: SETTINGS,
  instances: ['mine-1'],
};

describe('the record of a rollout', () => {
  const begun = (): RolloutRecord => {
    const made = beginRollout(undefined, PLAN, 1_000);
    assert.ok('record' in made);
    return made.record;
  };
  const refused = (made: object): string => ('refused' in made ? String(made.refused) : '');

  it('begins with every replica waiting', () => {
    const record = begun();
    assert.equal(record.state, 'running');
    assert.deepEqual(record.replicas, [{ instance: 'mine-1', phase: 'waiting', sinceMs: 1_000 }]);
    assert.equal(describeRollout(record), 'digits from version 1 to 2: running');
  });

  it('refuses a second one while the first goes on, and names it', () => {
    const record = begun();
    const second = beginRollout(record, { ...PLAN, version: '3' }, 2_000);
    assert.match(refused(second), /^a rollout is under way: digits from version 1 to 2: running \(digits-2-/);
    for (const state of ['paused', 'rolling-back'] as const)
      assert.notEqual(refused(beginRollout({ ...record, state }, { ...PLAN, version: '3' }, 2_000)), '');
    for (const state of ['done', 'rejected', 'rolled-back', 'aborted'] as const)
      assert.equal(refused(beginRollout({ ...record, state }, { ...PLAN, version: '3' }, 2_000)), '');
  });

  it('refuses what is served already, unless its files have changed, and a model that is not served', () => {
    assert.match(refused(beginRollout(undefined, { ...PLAN, from: '2' }, 0)), /served already/);
    assert.equal(refused(beginRollout(undefined, { ...PLAN, from: '2', isChanged: true }, 0)), '');
    const unknown = beginRollout(undefined, { ...PLAN, from: '', models: ['numbers', 'words'] }, 0);
    assert.equal(refused(unknown), 'digits is not served here; models here: numbers, words');
  });

  it('is paused, resumed and aborted, and says so when there is nothing to', () => {
    const record = begun();
    const paused = commandRollout(record, 'pause', 5_000);
    assert.ok('record' in paused && paused.record.state === 'paused');
    assert.match(refused(commandRollout(paused.record, 'pause', 5_000)), /paused already/);
    const resumed = commandRollout(paused.record, 'resume', 5_000);
    assert.ok('record' in resumed && resumed.record.state === 'running');
    assert.equal(resumed.record.replicas[0]!.sinceMs, 5_000, 'its limits begin anew');
    assert.match(refused(commandRollout(record, 'resume', 5_000)), /not paused/);
    const aborted = commandRollout(paused.record, 'abort', 5_000);
    assert.ok('record' in aborted);
    assert.deepEqual([aborted.record.state, aborted.record.end], ['rolling-back', 'aborted']);
    assert.match(refused(commandRollout(aborted.record, 'pause', 5_000)), /nothing to pause: digits/);
    const ended = commandRollout(aborted.record, 'abort', 5_000);
    assert.ok('record' in ended);
    assert.deepEqual(
      [ended.record.state, ended.record.why],
      ['aborted', 'aborted by command; ended by command before every replica was back'],
    );
    assert.match(refused(commandRollout(ended.record, 'abort', 5_000)), /nothing to abort: digits/);
    assert.match(refused(commandRollout({ ...record, state: 'done' }, 'pause', 5_000)), /nothing to pause/);
    assert.match(refused(commandRollout(undefined, 'pause', 5_000)), /no rollout/);
    assert.equal(isOver({ ...record, state: 'rolled-back' }), true);
    assert.equal(isOver(aborted.record), false);
  });
});
