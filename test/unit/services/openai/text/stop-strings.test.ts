import assert from 'node:assert/strict';
import fc from 'fast-check';
import { StopStrings } from '../../../../../services/openai/text/stop-strings.js';
import { runs } from '../../../../kit/mocha/effort.js';

/** What is passed on of these pieces, and the stop string that ended it. */
function passedOf(pieces: readonly string[], stops: readonly string[]) {
  const strings = new StopStrings(stops);
  const texts: string[] = [];
  for (const piece of pieces) {
    const { text, stop } = strings.push(piece);
    texts.push(text);
    if (stop !== undefined) return { texts, stop };
  }
  return { texts: [...texts, strings.end()], stop: undefined };
}

/** By the definition, character by character: the first end of a stop string counts, and there the longest one. */
function oracle(text: string, stops: readonly string[]): { text: string; stop: string | undefined } {
  for (let end = 1; end <= text.length; end++) {
    const [stop] = stops
      .filter((each) => text.slice(0, end).endsWith(each))
      .sort((a, b) => b.length - a.length);
    if (stop !== undefined) return { text: text.slice(0, end - stop.length), stop };
  }
  return { text, stop: undefined };
}

const LETTERS = fc.constantFrom('a', 'b', 'c');
const PIECES = fc.array(fc.string({ unit: LETTERS, maxLength: 6 }), { maxLength: 20 });
const STOPS = fc.array(fc.string({ unit: LETTERS, minLength: 1, maxLength: 5 }), { maxLength: 4 });

describe('stop strings', () => {
  it('end a text where the definition says, however it is cut into pieces', () =>
    fc.assert(
      fc.property(PIECES, STOPS, (pieces, stops) => {
        const { texts, stop } = passedOf(pieces, stops);
        assert.deepEqual({ text: texts.join(''), stop }, oracle(pieces.join(''), stops));
      }),
      { numRuns: runs(2_000) },
    ));

  it('hold back only what may be the beginning of one', () =>
    fc.assert(
      fc.property(PIECES, STOPS, (pieces, stops) => {
        const strings = new StopStrings(stops);
        let text = '';
        let passed = '';
        for (const piece of pieces) {
          text += piece;
          const found = strings.push(piece);
          if (found.stop !== undefined) return;
          passed += found.text;
          const held = text.slice(passed.length);
          assert.ok(
            held === '' || stops.some((stop) => stop.length > held.length && stop.startsWith(held)),
            held,
          );
        }
      }),
      { numRuns: runs(2_000) },
    ));

  it('are found across pieces', () => {
    assert.deepEqual(passedOf(['one\n', '\nHu', 'man: two'], ['\n\nHuman:']), {
      texts: ['one', '', ''],
      stop: '\n\nHuman:',
    });
  });

  it('let a beginning go that turned out to be none', () => {
    assert.deepEqual(passedOf(['a<', 'b<', '|end'], ['<|end|>']), {
      texts: ['a', '<b', '', '<|end'],
      stop: undefined,
    });
  });

  it('are none of the text when there are none', () => {
    assert.deepEqual(passedOf(['a', 'b'], []), { texts: ['a', 'b', ''], stop: undefined });
  });
});
