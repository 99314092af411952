import assert from 'node:assert/strict';
import type { Cluster } from '../../../../sidecar/cluster/cluster.js';
import { modelsThatMatter } from '../../../../sidecar/outbound/called-model/models-that-matter.js';
import { aRoute } from '../../../kit/stack/stack.js';

const claiming = (...models: string[]) => ({ claims: { models } as unknown as Cluster['claims'] });
const NONE = { claims: null };
const found = (...input: Parameters<typeof modelsThatMatter>) => {
  const models = modelsThatMatter(...input);
  return models === null ? null : [...models];
};

describe('The models that matter to an upstream', () => {
  it('are none where no rule names one and its endpoints do not differ', () => {
    assert.equal(found([aRoute(), aRoute({ split: { match: [], weights: { digits: 1 } } })], [NONE]), null);
  });

  it('are those of routes and splits, and those that endpoints claim', () => {
    const split = { match: [{ model: 'b', upstream: 'x' }], weights: {} };
    const routes = [aRoute({ models: ['c', 'a'] }), aRoute({ split })];
    assert.deepEqual(found(routes, [NONE]), ['c', 'a', 'b']);
    assert.deepEqual(found(routes, [claiming('z', 'a'), claiming('y')]), ['c', 'a', 'b', 'y', 'z']);
  });

  it('are at most a hundred, and never the name that stands for the others', () => {
    const many = Array.from({ length: 300 }, (_, i) => `m${i}`);
    assert.equal(found([], [claiming(...many)])!.length, 100);
    assert.deepEqual(found([], [claiming('other', 'a')]), ['a']);
  });
});
