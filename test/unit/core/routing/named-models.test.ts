import assert from 'node:assert/strict';
import { modelsNamedBy } from '../../../../sidecar/core/routing/named-models.js';

describe('models that routes name', () => {
  it('are those of routes and of splits, each once, in their order', () => {
    const routes = [
      { models: ['b', 'a'] },
      {},
      { models: ['a', 'c'], split: { match: [{ model: 'd' }, {}, { model: 'b' }] } },
      { split: {} },
    ];
    assert.deepEqual(modelsNamedBy(routes), ['b', 'a', 'c', 'd']);
  });
});
