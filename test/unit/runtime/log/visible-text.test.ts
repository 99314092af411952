import assert from 'node:assert/strict';
import fc from 'fast-check';
import { visibleOutput, visibleText } from '../../../../sidecar/runtime/log/visible-text.js';
import { anyCharacter } from '../../../kit/config/any-character.js';

const CSI = '\u009b';
const OVERRIDE = '\u202e';

describe('text for a terminal', () => {
  it('shows what a terminal would act on', () => {
    assert.equal(visibleText('\x1b[8mhidden'), '\\u001b[8mhidden');
    assert.equal(
      visibleText(`${CSI}2J${OVERRIDE}evil\x7f\x07\r`),
      '\\u009b2J\\u202eevil\\u007f\\u0007\\u000d',
    );
  });

  it('is otherwise unchanged', () => {
    for (const text of ['', 'a\tb\n', 'naïve データ 👩‍👩‍👧 سلام', '\\u001b'])
      assert.deepEqual([visibleText(text), visibleOutput(text)], [text, text]);
  });

  it('holds no such character, whatever it was made of', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter }), (text) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these
        assert.doesNotMatch(visibleText(text), /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/);
      }),
    );
  });

  it('is the same value in JSON', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter }), (text) => {
        assert.equal(JSON.parse(visibleText(JSON.stringify(text))), text);
      }),
    );
  });

  it('keeps the colours and erasures of commands, and no other sequence', () => {
    const own = '\r\x1b[2K\x1b[1mbold\x1b[22m \x1b[31mred\x1b[39m\x1b[H\x1b[2J';
    assert.equal(visibleOutput(own), own);
    for (const other of ['\x1b[8m', '\x1b]0;title\x07', '\x1b[2J', '\r', '\x1b[31;8m'])
      assert.equal(visibleOutput(other), visibleText(other));
  });
});
