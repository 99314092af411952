import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type AnsweredTokens,
  type AskedTokens,
  type CallEnding,
  costOf,
  totalOf,
  usedTokens,
} from '../../../../sidecar/core/admission/token-cost.js';

const asked = (over: Partial<AskedTokens> = {}): AskedTokens => ({
  ...{ promptIds: 10, textBytes: 0, maxTokens: 100, sequences: 1 },
  ...over,
});
const total = (over: Partial<AskedTokens>): number => totalOf(costOf(asked(over), 1_000, 4_096));
const got = (over: Partial<AnsweredTokens> = {}): AnsweredTokens => ({
  ...{ prompt: 0, cached: 0, output: 0, isUnreadable: false },
  ...over,
});
/** What a call has used that reserved 10 tokens for its prompt and 100 more. */
const used = (
  said: Partial<AnsweredTokens>,
  ending: CallEnding = 'failed',
  more: Partial<AskedTokens> = {},
) => usedTokens(costOf(asked(more), 1_000, 4_096), 1_000, 110, got(said), ending);

describe('costOf', () => {
  it('is the ids of the prompt and the most that may come, of each sequence', () => {
    assert.equal(total({}), 110);
    assert.equal(total({ sequences: 1_000 }), 100_010);
    assert.equal(total({ maxTokens: 0 }), 10);
  });

  it('takes four bytes of a text for a token, and the default for a number that is not said', () => {
    assert.equal(total({ promptIds: 0, textBytes: 9 }), 103);
    assert.equal(total({ maxTokens: -1 }), 4_106);
  });

  it('is no more than the context of the engine leaves, for each sequence', () => {
    const within = (more: Partial<AskedTokens>, context = 1_000) =>
      totalOf(costOf(asked(more), 40, 4_096, context));
    assert.equal(within({ maxTokens: 2 ** 32 - 1 }), 1_000);
    assert.equal(within({ maxTokens: 2 ** 32 - 1, sequences: 3 }), 10 + 3 * 990);
    assert.equal(within({ maxTokens: -1 }), 1_000);
    assert.equal(within({ maxTokens: 100 }), 110);
    assert.equal(within({ maxTokens: 100 }, 8), 10, 'the prompt alone does not fit');
    assert.equal(
      within({ promptIds: 0, textBytes: 400, maxTokens: 2 ** 32 - 1 }),
      1_100,
      'a text may be shorter',
    );
    assert.equal(totalOf(costOf(null, 400, 4_096, 1_000)), 1_100);
  });

  it('guesses by the length of a request that cannot be read', () =>
    assert.deepEqual(costOf(null, 1_000, 4_096), {
      prompt: 250,
      output: 4_096,
      sequences: 1,
      isRead: false,
    }));

  it('stays exact for numbers that no engine could make', () => {
    const huge = total({ maxTokens: 2 ** 64, sequences: 2 ** 64, promptIds: 1_000_000 });
    assert.ok(Number.isSafeInteger(huge) && huge > 2 ** 32);
    assert.ok(Number.isSafeInteger(huge * 1_000));
    assert.equal(total({ maxTokens: 2 ** 32 - 1 }), 2 ** 32 + 9);
  });
});

describe('usedTokens', () => {
  it('is the prompt, less what of it was cached, and what has come', () => {
    assert.equal(used({ prompt: 10, output: 7 }), 17);
    assert.equal(used({ prompt: 10, cached: 8, output: 7 }), 9);
    assert.equal(used({ prompt: 10, cached: 8, output: 7 }, 'left'), 9);
    assert.equal(used({ output: 7 }), 17, 'the engine says nothing of the prompt');
  });

  it('is nothing of a call that did not reach the engine, or that the engine failed before its first token', () => {
    assert.equal(used({}, 'unsent'), 0);
    assert.equal(used({}, 'failed'), 0);
    assert.equal(used({ prompt: 10, cached: 4 }, 'failed'), 0, 'it said how long the prompt is');
    assert.equal(used({}, 'left'), 10, 'the engine was at its prompt');
    assert.equal(used({ prompt: 10, cached: 4 }, 'left'), 6);
    assert.equal(used({ prompt: 10, cached: 4 }, 'answered'), 6, 'an answer without a token');
  });

  it('gives nothing back for a cached prompt of several sequences: all but the first find it cached', () =>
    assert.equal(used({ prompt: 10, cached: 9, output: 7 }, 'failed', { sequences: 2 }), 17));

  it('takes an answer that cannot be read for as long as it may be', () => {
    assert.equal(used({ isUnreadable: true }), 110);
    assert.equal(used({ isUnreadable: true, prompt: 10, cached: 4, output: 3 }), 106);
  });

  it('believes an engine about the prompt only as far as the request is long', () => {
    assert.equal(used({ prompt: 2 ** 52, output: 1 }), 1_001);
    assert.equal(used({ prompt: 5, cached: 2 ** 52, output: 1 }), 1);
    const unread = costOf(null, 40, 4_096);
    assert.equal(usedTokens(unread, 40, 9_000, got({ prompt: 700, output: 3 }), 'failed'), 703);
    assert.equal(usedTokens(unread, 40, 9_000, got({ prompt: 2 ** 52, output: 3 }), 'failed'), 9_003);
  });

  it('is never below 0, nor above what was reserved while the engine keeps to the request', () => {
    const count = fc.nat({ max: 200 });
    const all = fc.record({ prompt: count, cached: count, output: fc.nat({ max: 100 }) });
    const endings = fc.constantFrom<CallEnding>('unsent', 'answered', 'failed', 'left');
    fc.assert(
      fc.property(all, fc.boolean(), endings, (said, isUnreadable, ending) => {
        const cost = costOf(asked(), 40, 4_096);
        const is = usedTokens(cost, 40, 110, got({ ...said, isUnreadable }), ending);
        assert.ok(is >= 0 && is <= 110 + Math.max(0, Math.min(said.prompt, 40) - 10), `${is}`);
      }),
    );
  });
});
