import assert from 'node:assert/strict';
import { oddIn } from '../../../../../sidecar/cli/chaos/load/token-answer.js';
import { tokensFor } from '../../../../../sidecar/cli/chaos/protocol/engine.js';

const ALL = tokensFor('call-1');

describe('what is wrong in an answer of an engine', () => {
  it('is nothing where each token is there once, and it is complete', () =>
    assert.equal(oddIn(ALL, ALL, true), undefined));

  for (const [what, ids, isComplete, found] of [
    ['a token twice', [...ALL.slice(0, 5), ...ALL.slice(4)], true, /^token 5 is/],
    ['a token that is missing', [...ALL.slice(0, 5), ...ALL.slice(6)], true, /^token 5 is/],
    ['the tokens of another request', tokensFor('call-2'), true, /^token 0 is/],
    ['an end that came too early', ALL.slice(0, 9), true, /^9 tokens of 60/],
    ['a token too many', [...ALL, 5], true, /^token 60 is 5/],
    ['no word of its end', ALL, false, /does not say/],
  ] as const)
    it(`is ${what}`, () => assert.match(oddIn(ids, ALL, isComplete) ?? '', found));
});
