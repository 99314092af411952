import assert from 'node:assert/strict';
import { hasLongRun } from '../../../../../services/openai/text/long-run.js';

describe('a text that takes a tokenizer too long', () => {
  it('has a run of one kind of characters that is longer than the bound', () => {
    for (const letter of ['a', '7', '=', 'é', '字']) {
      assert.equal(hasLongRun(letter.repeat(8), 8), false, letter);
      assert.equal(hasLongRun(`b 1${letter.repeat(9)} b`, 8), true, letter);
    }
  });

  it('is none of words, of spaces, or of kinds that take turns', () => {
    assert.equal(hasLongRun('one two '.repeat(1_000), 8), false);
    assert.equal(hasLongRun(' \n'.repeat(1_000), 8), false);
    assert.equal(hasLongRun('a1='.repeat(1_000), 8), false);
    assert.equal(hasLongRun('', 8), false);
    assert.equal(hasLongRun('一二三，四五六。七八　九十\u00a0'.repeat(1_000), 8), false);
  });
});
