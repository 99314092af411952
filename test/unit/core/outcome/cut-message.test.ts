import assert from 'node:assert/strict';
import fc from 'fast-check';
import { cutMessage } from '../../../../sidecar/core/outcome/cut-message.js';
import { anyCharacter } from '../../../kit/config/any-character.js';

/** As servers encode it: `%` and what is not printable ASCII as escapes, byte by byte. */
const escaped = (text: string): string => encodeURIComponent(text).replaceAll('%20', ' ');

/** The bytes of a message as it came: one char each. */
const raw = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

const decoded = (message: string): string =>
  Buffer.from(
    message.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  ).toString('utf8');

describe('a message that is cut', () => {
  it('is the same where it fits', () => {
    assert.equal(cutMessage('not%20found', 11), 'not%20found');
    assert.equal(cutMessage('', 0), '');
  });

  it('says that it was cut', () => {
    assert.equal(cutMessage('abcdefghij', 8), 'abcde...');
    assert.equal(cutMessage('abcdefghij', 3), '');
  });

  for (const [what, encoded, cuts] of [
    ['an escape', 'ab%25cd', ['ab', 'ab', 'ab', 'ab%25']],
    ['a character of two bytes', 'ab%C3%BCcd', ['ab', 'ab', 'ab', 'ab', 'ab', 'ab', 'ab%C3%BC']],
    ['a character that is not escaped', `ab${raw('€')}cd`, ['ab', 'ab', 'ab', `ab${raw('€')}`]],
  ] as const)
    it(`is never cut within ${what}`, () => {
      const long = encoded + 'z'.repeat(50);
      for (const [i, cut] of cuts.entries()) assert.equal(cutMessage(long, 2 + i + 3), `${cut}...`);
    });

  it('is a beginning of the message, whole characters of it, and as long as may be', () => {
    const text = fc.string({ unit: anyCharacter, minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(text, fc.nat(200), fc.boolean(), (message, maxBytes, isEscaped) => {
        const encoded = isEscaped ? escaped(message) : raw(message.replaceAll('%', ''));
        const cut = cutMessage(encoded, maxBytes);
        assert.ok(cut.length <= maxBytes);
        if (cut === encoded || cut === '') return;
        assert.ok(cut.endsWith('...') && cut.length > maxBytes - 12);
        const kept = cut.slice(0, -3);
        assert.ok(encoded.startsWith(kept));
        assert.ok(decoded(encoded).startsWith(decoded(kept)), `${encoded} was cut to ${kept}`);
      }),
    );
  });
});
