/** What is read from a place that others write to. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { beginRollout } from '../../../../sidecar/core/models/rollout.js';
import { readFacts, readRollout } from '../../../../sidecar/core/models/rollout-format.js';

const SETTINGS = { windowMs: 10_000, agreement: 0.98, samples: 50, canary: 0, maxLatency: 2, loadMs: 60_000 };

describe('a stored rollout', () => {
  const plan = { service: 'mine', model: 'digits', version: '2', from: '1', settings: SETTINGS };
  const made = beginRollout(undefined, { ...plan, instances: ['mine-1'] }, 1);
  const record = 'record' in made ? made.record : undefined;
  const tally = { calls: 1, errors: 0, medianMs: 2 };
  const facts = {
    ...{ instance: 'mine-1', id: 'x', serving: '1', candidate: 'none', why: '', difference: '' },
    ...{ compared: 0, agreed: 0, before: tally, after: tally },
  };

  it('is read as it was written', () => {
    assert.deepEqual(readRollout(JSON.parse(JSON.stringify(record))), record);
    assert.deepEqual(readFacts(JSON.parse(JSON.stringify(facts))), facts);
  });

  it('is nothing where a part is missing or wrong', () => {
    for (const key of Object.keys(record!))
      assert.equal(readRollout({ ...record, [key]: undefined }), undefined, key);
    assert.equal(readRollout({ ...record, state: 'other' }), undefined);
    assert.equal(readRollout({ ...record, end: 'other' }), undefined);
    assert.equal(readRollout({ ...record, format: 2 }), undefined);
    assert.equal(
      readRollout({ ...record, replicas: [{ instance: 'a', phase: 'other', sinceMs: 1 }] }),
      undefined,
    );
    const passedOver = [{ model: 'digits', version: '2', by: 'abort' }];
    assert.notEqual(readRollout({ ...record, passedOver }), undefined);
    for (const wrong of [{}, ['2'], [{ ...passedOver[0], by: 'chance' }], [{ ...passedOver[0], version: 2 }]])
      assert.equal(readRollout({ ...record, passedOver: wrong }), undefined);
    for (const key of Object.keys(facts)) assert.equal(readFacts({ ...facts, [key]: null }), undefined, key);
  });

  it('is nothing, and no error, for anything else', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        assert.equal(readRollout(value), undefined);
        assert.equal(readFacts(value), undefined);
      }),
    );
  });
});
