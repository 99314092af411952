import assert from 'node:assert/strict';
import fc from 'fast-check';
import { after, BETWEEN, mayFollow } from '../../../../services/tokens/utf8.js';

/** Whether every byte may follow those before it, and no character is left unfinished. */
function isWellFormed(bytes: Iterable<number>): boolean {
  let unfinished = BETWEEN;
  for (const byte of bytes) {
    if (!mayFollow(unfinished, byte)) return false;
    unfinished = after(unfinished, byte);
  }
  return unfinished.missing === 0;
}

function isDecodable(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

describe('the bytes of UTF-8', () => {
  it('may follow each other exactly where the decoder of the platform takes them', () => {
    const lead = fc.constantFrom(
      0x41,
      0x80,
      0xc0,
      0xc2,
      0xdf,
      0xe0,
      0xe2,
      0xed,
      0xee,
      0xf0,
      0xf1,
      0xf4,
      0xf5,
    );
    const next = fc.constantFrom(0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc2);
    const bytes = fc.tuple(lead, fc.array(next, { maxLength: 4 }));
    fc.assert(
      fc.property(bytes, ([first, rest]) => {
        const text = Uint8Array.of(first, ...rest);
        assert.equal(isWellFormed(text), isDecodable(text), Buffer.from(text).toString('hex'));
      }),
      { numRuns: 5000 },
    );
  });

  it('of any text may follow each other', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => isWellFormed(Buffer.from(text))));
  });
});
