/** A model as people read it. */
import assert from 'node:assert/strict';
import { modelTitle } from '../../../sidecar/telemetry/model-title.js';

describe('the title of a model', () => {
  const state = { state: 'ready', why: '', restarts: 0 } as const;

  it('is its name, with version and instance where they are told apart', () => {
    assert.equal(modelTitle({ ...state, name: 'digits' }), 'digits');
    assert.equal(modelTitle({ ...state, name: 'digits', instance: 2 }), 'digits, instance 2');
    const both = modelTitle({ ...state, name: 'digits', version: '3', instance: 2 });
    assert.equal(both, 'digits version 3, instance 2');
    assert.equal(modelTitle({ ...state, name: 'digits', version: '' }), 'digits', 'it has no version yet');
  });

  it('is nothing for a server of another make', () => {
    assert.equal(modelTitle(state), '');
  });
});
