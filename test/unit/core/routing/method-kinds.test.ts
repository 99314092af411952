/** What a method is, from what services say and from what their answers are like. */
import assert from 'node:assert/strict';
import {
  ANSWERS_NEEDED,
  MAX_DESCRIBED,
  MethodKind,
  MethodKinds,
} from '../../../../sidecar/core/routing/method-kinds.js';

const PREDICT = '/shop.Prices/Predict';
const WATCH = '/shop.Prices/Watch';

describe('MethodKinds', () => {
  let kinds: MethodKinds;
  let changes: number;
  const answers = (count: number, path = PREDICT): void => {
    for (let i = 0; i < count; i++) kinds.recordSingle(path);
  };
  beforeEach(() => {
    kinds = new MethodKinds();
    changes = 0;
    kinds.onChange = () => {
      changes++;
    };
  });

  describe('by description', () => {
    it('a method is what the endpoints say', () => {
      kinds.describe([{ unary: [PREDICT], streaming: [WATCH] }]);
      assert.equal(kinds.of(PREDICT), MethodKind.described);
      assert.equal(kinds.of(WATCH), MethodKind.streaming);
      assert.equal(kinds.of('/shop.Prices/Other'), MethodKind.unknown);
      assert.deepEqual([kinds.isDescribed(PREDICT), kinds.isDescribed('/shop.Prices/Other')], [true, false]);
    });

    it('a method that one endpoint calls a stream is one', () => {
      const unary = { unary: [PREDICT], streaming: [] };
      kinds.describe([unary, { unary: [], streaming: [PREDICT] }, unary]);
      assert.equal(kinds.of(PREDICT), MethodKind.streaming);
    });

    it('what was said stays while no endpoint says anything, and goes with the next description', () => {
      kinds.describe([{ unary: [PREDICT], streaming: [] }]);
      kinds.describe([]);
      assert.equal(kinds.of(PREDICT), MethodKind.described);
      kinds.describe([{ unary: [], streaming: [] }]);
      assert.equal(kinds.of(PREDICT), MethodKind.unknown);
      assert.equal(changes, 2);
    });

    it('the same description again changes nothing', () => {
      for (let i = 0; i < 3; i++) kinds.describe([{ unary: [PREDICT], streaming: [WATCH] }]);
      assert.equal(changes, 1);
    });

    it('a known stream is one, whatever an endpoint says', () => {
      const lie = '/inference.GRPCInferenceService/ModelStreamInfer';
      kinds.describe([{ unary: [lie], streaming: [] }]);
      assert.equal(kinds.of(lie), MethodKind.streaming);
    });

    it('a second message proves a description wrong, for good', () => {
      kinds.describe([{ unary: [PREDICT], streaming: [] }]);
      kinds.recordStream(PREDICT);
      kinds.describe([{ unary: [PREDICT, WATCH], streaming: [] }]);
      assert.equal(kinds.of(PREDICT), MethodKind.streaming);
      assert.equal(kinds.unlearned, 1);
      assert.deepEqual(kinds.known, [
        { method: PREDICT, kind: 'streaming', from: 'answers' },
        { method: WATCH, kind: 'unary', from: 'description' },
      ]);
    });

    it('of very many methods some are kept', () => {
      const unary = Array.from({ length: 5_000 }, (_, i) => `/shop.Prices/M${i}`);
      kinds.describe([{ unary, streaming: [] }]);
      assert.equal(kinds.known.length, MAX_DESCRIBED);
    });
  });

  describe('by answers', () => {
    it(`${ANSWERS_NEEDED} of one message in a row are needed`, () => {
      answers(ANSWERS_NEEDED - 1);
      assert.equal(kinds.of(PREDICT), MethodKind.unknown);
      assert.deepEqual(kinds.known, []);
      answers(1);
      assert.equal(kinds.of(PREDICT), MethodKind.single);
      assert.deepEqual(kinds.known, [{ method: PREDICT, kind: 'unary', from: 'answers' }]);
      answers(1_000);
      assert.equal(changes, 1);
    });

    it('one answer that is a stream settles it, before and after', () => {
      answers(10);
      kinds.recordStream(PREDICT);
      answers(1_000);
      answers(ANSWERS_NEEDED, WATCH);
      kinds.recordStream(WATCH);
      assert.deepEqual([kinds.of(PREDICT), kinds.of(WATCH)], [MethodKind.streaming, MethodKind.streaming]);
      assert.equal(kinds.unlearned, 1, 'one had been taken to be unary');
    });

    it('are counted of so many methods, whatever callers invent', () => {
      for (let i = 0; i < 1_000; i++) answers(ANSWERS_NEEDED, `/shop.Prices/M${i}`);
      assert.equal(kinds.known.length, 64);
    });

    it('are counted no more once too many methods have turned out to be streams', () => {
      for (let i = 0; i < 1_000; i++) kinds.recordStream(`/shop.Prices/M${i}`);
      answers(ANSWERS_NEEDED);
      assert.equal(kinds.of(PREDICT), MethodKind.unknown);
      assert.equal(kinds.known.length, 256);
    });
  });
});
