import assert from 'node:assert/strict';
import { commentShare, countLines, sumOfLines } from '../../../tools/line-counts.js';

describe('the count of lines', () => {
  const source = '/** a\n * b\n */\nconst c = 1; // d\n\n// e\n/* f */ const g = 2;\n';

  it('takes a line with code and a comment behind it for code, and a blank line for neither', () => {
    assert.deepEqual(countLines(source), { lines: 7, comments: 5, blank: 1 });
    assert.deepEqual(countLines(''), { lines: 0, comments: 0, blank: 0 });
  });

  it('gives the share of comments among the lines that are not blank, over several files', () => {
    const counts = sumOfLines([countLines(source), countLines('a\nb')]);
    assert.deepEqual(counts, { lines: 9, comments: 5, blank: 1 });
    assert.equal(commentShare(counts), 5 / 8);
    assert.equal(commentShare(countLines('\n\n')), 0);
  });
});
