/** A rollout as it is printed. */
import assert from 'node:assert/strict';
import { progressLine, rolloutText } from '../../../../sidecar/cli/rollout/rollout-text.js';
import { paletteFor } from '../../../../sidecar/cli/terminal.js';
import {
  beginRollout,
  type ReplicaFacts,
  type RolloutView,
} from '../../../../sidecar/core/models/rollout.js';

const SETTINGS = { windowMs: 10_000, agreement: 0.98, samples: 50, canary: 0, maxLatency: 2, loadMs: 60_000 };

describe('the text of a rollout', () => {
  const plan = { service: 'mine', model: 'digits', version: '2', from: '1', settings: SETTINGS };
  const made = beginRollout(undefined, { ...plan, instances: ['mine-1', 'mine-2'] }, 1);
  assert.ok('record' in made);
  const { record } = made;
  const [first, second] = record.replicas;
  const watching = {
    ...record,
    why: '0 of 9 calls failed',
    replicas: [{ ...first!, phase: 'watching' as const }, second!],
  };
  const tally = (calls: number, errors: number, medianMs: number) => ({ calls, errors, medianMs });
  const facts: ReplicaFacts = {
    ...{ instance: 'mine-1', id: record.id, serving: '1', candidate: 'proven', why: '', difference: '' },
    ...{ compared: 50, agreed: 49, before: tally(200, 1, 4.25), after: tally(30, 0, 5) },
  };
  const view: RolloutView = { where: '/state/mine', record: watching, replicas: [facts], problem: '' };

  it('is one line for progress', () => {
    assert.equal(
      progressLine(view),
      'digits 1 → 2 · running · 0 of 2 replicas · mine-1 watching · 0 of 9 calls failed',
    );
    const alone = { ...view, record: { ...record, replicas: [first!] } };
    assert.match(
      progressLine(alone, 2),
      /running · 0 of 2 replicas · begun$/,
      'the other has not read it yet',
    );
    assert.equal(progressLine({ where: '', replicas: [], problem: '' }), 'there was no rollout');
    assert.equal(progressLine({ where: '', replicas: [], problem: 'no answer' }), 'no answer');
  });

  it('says that a comparison waits for calls while there was none', () => {
    const shadow = { ...record, why: 'passed', replicas: [{ ...first!, phase: 'shadow' as const }, second!] };
    const line = (compared: number) =>
      progressLine({ ...view, record: shadow, replicas: [{ ...facts, compared }] });
    assert.match(line(0), / · mine-1 shadow, waiting for calls to compare · passed$/);
    assert.match(line(1), / · mine-1 shadow · passed$/);
    const back = { ...view, record: { ...shadow, state: 'rolling-back' as const } };
    assert.match(
      progressLine({ ...back, replicas: [{ ...facts, compared: 0 }] }),
      / · mine-1 shadow · passed$/,
    );
  });

  it('is a table of the replicas for status', () => {
    const palette = paletteFor({ isTTY: false } as never, {});
    const text = rolloutText(view, palette);
    assert.match(text, /mine-1 +watching +1 +49 of 50 +1 of 200 +0 of 30 +4\.3 ms +5\.0 ms/);
    assert.match(text, /mine-2 +waiting/);
    assert.match(text, /kept in \/state\/mine/);
    assert.match(rolloutText({ ...view, problem: 'no answer' }, palette), /no answer$/);
    const over = { ...view, record: { ...watching, state: 'done' as const } };
    assert.match(progressLine(over), /done · 0 of 2 replicas · 0 of 9/);
  });
});
