import assert from 'node:assert/strict';
import { samplesIn } from '../../../../sidecar/cli/page/samples.js';

describe('the samples of a scrape', () => {
  it('are read from labels with quotes and line breaks in them, past lines that are none', () => {
    const text = 'a{x="say \\"hi\\"\\n{",y="1"} 2\nnonsense\na{x=\na 3\nb 4\na{x="NaN"} NaN\n';
    assert.deepEqual(
      samplesIn(text, ['a', 'c']),
      new Map([
        [
          'a',
          [
            { labels: { x: 'say "hi"\n{', y: '1' }, value: 2 },
            { labels: {}, value: 3 },
          ],
        ],
        ['c', []],
      ]),
    );
  });
});
