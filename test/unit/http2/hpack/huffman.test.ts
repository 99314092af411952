import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  huffmanBytes,
  huffmanDecode,
  huffmanEncode,
  huffmanLength,
} from '../../../../sidecar/http2/hpack/huffman.js';
import { hex } from '../../../kit/http2/hpack-blocks.js';

function coded(text: string): Buffer {
  const out = Buffer.alloc(text.length * 4 + 4);
  return out.subarray(0, huffmanEncode(text, out, 0));
}

function decoded(bytes: Uint8Array): string | null {
  const length = huffmanDecode(bytes, 0, bytes.length);
  return length < 0 ? null : huffmanBytes().toString('latin1', 0, length >> 1);
}

/** Bits of one symbol's code: eight of them fill exactly that many bytes. */
function codeLength(symbol: number): number {
  return huffmanLength(String.fromCharCode(symbol).repeat(8));
}

describe('the Huffman code', () => {
  it('is complete: the Kraft sum with the 30 bits of EOS is 1', () => {
    let sum = 2 ** -30;
    for (let symbol = 0; symbol < 256; symbol++) sum += 2 ** -codeLength(symbol);
    assert.equal(sum, 1);
  });

  it('has the codes of appendix B', () => {
    const codes: [string, string, number][] = [
      ['0', '00', 5],
      ['t', '48', 5],
      [' ', '50', 6],
      ['&', 'f8', 8],
      ['\0', 'ffc0', 13],
      ['|', 'ff80', 11],
      ['<', 'fff8', 15],
      ['\\', 'fffe00', 19],
      ['\x80', 'fffe60', 20],
      ['\xff', 'fffffb80', 26],
      ['\x01', 'ffffb0', 23],
      ['\x02', 'fffffe20', 28],
      ['\n', 'fffffff0', 30],
      ['\r', 'fffffff4', 30],
      ['\x16', 'fffffff8', 30],
    ];
    for (const [symbol, bytes, bits] of codes) {
      const padding = Buffer.from(bytes, 'hex');
      padding[padding.length - 1]! |= 0xff >>> (bits % 8 === 0 ? 8 : bits % 8);
      assert.equal(coded(symbol).toString('hex'), padding.toString('hex'), JSON.stringify(symbol));
      assert.equal(codeLength(symbol.charCodeAt(0)), bits);
    }
  });

  it('restores each of the 256 bytes, alone and between others', () => {
    for (let symbol = 0; symbol < 256; symbol++) {
      const char = String.fromCharCode(symbol);
      for (const text of [char, `a${char}`, `${char}~`, `<${char}\0${char}0`]) {
        assert.equal(coded(text).length, huffmanLength(text));
        assert.equal(decoded(coded(text)), text);
      }
    }
  });

  it('restores any string', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = Buffer.from(bytes).toString('latin1');
        assert.equal(decoded(coded(text)), text);
      }),
    );
  });

  it('flags NUL, CR and LF, and nothing else', () => {
    for (let symbol = 0; symbol < 256; symbol++) {
      const bytes = coded(`a${String.fromCharCode(symbol)}b`);
      assert.equal(huffmanDecode(bytes, 0, bytes.length) & 1, [0, 10, 13].includes(symbol) ? 1 : 0);
    }
  });

  for (const [title, cases] of [
    ['refuses EOS at any position', { 'ffff ffff': null, '07ff fffff f': null, 'ffff fffc 18c6 3f': null }],
    // "a" is 00011.
    ['refuses padding that is not all ones', { '18': null, '1e': null, '1f': 'a' }],
    // fe is the beginning of a longer code.
    ['refuses padding of more than seven bits', { '1fff': null, ff: null, f8: '&', f8ff: null, fe: null }],
    ['accepts the empty string', { '': '' }],
  ] as const)
    it(title, () => {
      for (const [bytes, expected] of Object.entries(cases))
        assert.equal(decoded(hex(bytes)), expected, bytes);
    });
});
