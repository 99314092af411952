import assert from 'node:assert/strict';
import { registeredModels } from '../../../../../sidecar/discovery/consul/catalog/registered-models.js';

describe('The models of a registration', () => {
  it('are the names of the list', () => {
    assert.deepEqual(registeredModels({ models: 'digits:2' }), ['digits']);
    assert.deepEqual(registeredModels({ models: 'digits:2 filetype:11', outrider: '0.1.0' }), [
      'digits',
      'filetype',
    ]);
  });

  it('are unknown where it has none, is cut off, or has another form', () => {
    const long = `${'m'.repeat(120)}:1 `.repeat(5).slice(0, 512);
    for (const models of ['', 'yes', 'digits', 'digits:2, words:1', 'digits:new', 'a:1  b:1', long])
      assert.equal(registeredModels({ models }), undefined, models);
    assert.equal(registeredModels({}), undefined);
    assert.equal(registeredModels(Object.create({ models: 'digits:1' })), undefined);
  });
});
