import assert from 'node:assert/strict';
import { EndTokens } from '../../../../sidecar/relay/stream/end-tokens.js';

describe('EndTokens', () => {
  it('knows the ends of each model, and whether an engine names them', () => {
    const ends = new EndTokens();
    ends.learn('a', 2, false);
    ends.learn('a', 9, true);
    assert.deepEqual(
      [ends.isNamed('a', 2), ends.isNamed('a', 9), ends.isNamed('a', 3)],
      [false, true, undefined],
    );
    assert.equal(ends.isNamed('b', 2), undefined);
  });

  it('is bounded in models, of which the oldest goes, and in ends', () => {
    const ends = new EndTokens();
    for (let model = 0; model < 100; model++) ends.learn(`m${model}`, 2, false);
    assert.deepEqual([ends.isNamed('m0', 2), ends.isNamed('m99', 2)], [undefined, false]);
    for (let token = 0; token < 100; token++) ends.learn('m99', token, false);
    assert.deepEqual([ends.isNamed('m99', 2), ends.isNamed('m99', 99)], [false, undefined]);
  });
});
