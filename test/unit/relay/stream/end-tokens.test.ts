import assert from 'node:assert/strict';
import { EngineSilence } from '../../../../sidecar/core/stats/engine-silence.js';
import { EndTokens } from '../../../../sidecar/relay/stream/end-tokens.js';

describe('EndTokens', () => {
  it('knows the ends of each model, and whether an engine names them', () => {
    const ends = new EndTokens();
    ends.learn('a', 2, false, null);
    ends.learn('a', 9, true, null);
    assert.deepEqual(
      [ends.isNamed('a', 2), ends.isNamed('a', 9), ends.isNamed('a', 3)],
      [false, true, undefined],
    );
    assert.equal(ends.isNamed('b', 2), undefined);
  });

  it('is bounded in models, of which the oldest goes, and in ends', () => {
    const ends = new EndTokens();
    for (let model = 0; model < 100; model++) ends.learn(`m${model}`, 2, false, null);
    assert.deepEqual([ends.isNamed('m0', 2), ends.isNamed('m99', 2)], [undefined, false]);
    for (let token = 0; token < 100; token++) ends.learn('m99', token, false, null);
    assert.deepEqual([ends.isNamed('m99', 2), ends.isNamed('m99', 99)], [false, undefined]);
  });

  it('of an engine that does not say what it runs knows them until it may be another one', () => {
    for (const [model, known] of [
      ['', undefined],
      ['a', false],
    ] as const)
      for (const change of ['reconnect', 'restart'] as const) {
        const ends = new EndTokens();
        const engine = new EngineSilence();
        ends.learn(model, 2, false, engine);
        assert.equal(ends.isNamed(model, 2), false);
        engine[change]();
        assert.equal(ends.isNamed(model, 2), known);
        ends.learn(model, 2, false, engine);
        assert.equal(ends.isNamed(model, 2), false);
      }
  });

  it('has room again for those that are forgotten', () => {
    const ends = new EndTokens();
    const engine = new EngineSilence();
    for (let token = 0; token < 16; token++) ends.learn('', token, false, engine);
    engine.reconnect();
    ends.learn('', 99, false, engine);
    assert.equal(ends.isNamed('', 99), false);
  });
});
