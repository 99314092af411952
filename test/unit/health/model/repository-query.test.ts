import assert from 'node:assert/strict';
import { changeIn } from '../../../../sidecar/health/model/repository-query.js';

const of = (state: string, reason = '') => ({ name: 'a', version: '1', state, reason });

describe('what a server that does not serve says of its models', () => {
  it('tells what was asked for from what went wrong', () => {
    assert.equal(changeIn([]), 'none');
    assert.equal(changeIn([of('READY')]), 'none');
    assert.equal(changeIn([of('UNAVAILABLE', 'CUDA error: device lost')]), 'none');
    assert.equal(changeIn([of('UNAVAILABLE', 'unloaded'), of('READY')]), 'none');
    assert.equal(
      changeIn([of('UNAVAILABLE', 'unloaded'), of('UNAVAILABLE', 'it is not loaded')]),
      'unloaded',
    );
    assert.equal(changeIn([of('UNAVAILABLE')]), 'unloaded');
    assert.equal(changeIn([of('READY'), of('LOADING')]), 'under-way');
    assert.equal(changeIn([of('UNLOADING', 'it is unloaded')]), 'under-way');
  });
});
