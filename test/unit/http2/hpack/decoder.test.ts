import assert from 'node:assert/strict';
import { HpackError } from '../../../../sidecar/http2/hpack/errors.js';
import {
  decode,
  fieldsOf,
  hex,
  literal,
  newDecoder,
  pairsOf,
  text,
} from '../../../kit/http2/hpack-blocks.js';
import { indexed, tableSizeUpdate as update } from '../../../kit/http2/hpack-lite.js';

const ADD_A = literal({ first: 0x40, name: 'x-a', value: '1' });
const ADD_B = literal({ first: 0x40, name: 'x-b', value: '2' });

/** `block`: in one part, or in several. */
function refuses(block: Buffer | readonly Buffer[], decoder = newDecoder()): void {
  const whole = Buffer.concat([block].flat());
  assert.throws(() => decode(decoder, whole), HpackError, whole.toString('hex'));
}

describe('a block that breaks RFC 7541', () => {
  for (const [what, ...blocks] of [
    ['index 0, as a field', hex('80')],
    [
      'an index past the end of the table, as a field and as a name',
      ...['be', 'ff00', '7e0161', '0f2f0161', '1f2f0161'].map(hex),
      [ADD_A, hex('bf')],
    ],
    [
      'an integer that is too long',
      ...['ff8080808080', 'ff808080808000', '3fffffffffff0f', '007fffffffffff'].map(hex),
    ],
    [
      'a table size update after a field',
      [hex('82'), update(0)],
      [ADD_A, update(100)],
      [update(100), hex('82'), update(0)],
    ],
  ] as const)
    it(`is refused for ${what}`, () => {
      for (const block of blocks) refuses(block);
    });

  it('is refused for an index that was evicted', () => {
    const decoder = newDecoder({ maxTableBytes: 40 });
    decode(decoder, ADD_A);
    decode(decoder, hex('be'));
    decode(decoder, ADD_B);
    assert.deepEqual(pairsOf(decode(decoder, hex('be'))), [['x-b', '2']]);
    refuses(hex('bf'), decoder);
  });

  it('is refused when it ends in the middle of anything', () => {
    const parts = [
      literal({ name: 'abc', value: 'defg' }),
      literal({ first: 0x10, name: 'abc', value: 'defg', huffman: true }),
      literal({ first: 0x40, name: 31, value: 'x'.repeat(200) }),
    ] as const;
    const whole = Buffer.concat(parts);
    const ends = [0, parts[0].length, whole.length - parts[2].length, whole.length];
    for (let end = 0; end <= whole.length; end++) {
      const part = whole.subarray(0, end);
      if (ends.includes(end)) decode(newDecoder(), part);
      else refuses(part);
    }
  });

  it('is refused for a string longer than the block, however large the block it stands in', () => {
    const buffer = Buffer.concat([hex('0003'), Buffer.from('abc'), hex('05'), Buffer.from('defghijk')]);
    const decoder = newDecoder();
    assert.throws(() => decoder.decode(buffer, 0, 10), HpackError);
    refuses(hex('00ffffffff7f'));
    refuses(hex('000161ffffffff7f'));
  });

  it('is refused for EOS, long padding and wrong padding, in names and in values', () => {
    for (const string of ['84ffffffff', '81ff', '821fff', '8118', '811e']) {
      refuses(hex(`00 ${string} 0161`));
      // 0f10: authorization
      for (const name of ['00 0161', '10 0161', '40 0161', '0f10']) refuses(hex(`${name} ${string}`));
      refuses([hex('00'), text('traceparent', true), hex(string)]);
    }
  });

  it('is refused for bad Huffman code beyond the limits of the list too', () => {
    refuses(hex('82 82 82 00 0161 81ff'), newDecoder({ maxFields: 1 }));
  });

  it('is refused for a table size above our setting', () => {
    refuses(update(4097));
    decode(newDecoder(), update(4096));
    refuses(update(65), newDecoder({ maxTableBytes: 64 }));
  });

  it('is refused for a third table size update', () => {
    decode(newDecoder(), update(0), update(4096), hex('82'));
    refuses([update(0), update(0), update(4096)]);
  });

  it('is refused when it begins without the update that our lowered setting requires', () => {
    const decoder = newDecoder();
    decode(decoder, ADD_A);
    decoder.setMaxTableBytes(0);
    refuses(hex('82'), decoder);
    const [second, third] = [newDecoder(), newDecoder()];
    for (const bytes of [100, 4096]) for (const each of [second, third]) each.setMaxTableBytes(bytes);
    refuses([update(200), hex('82')], second);
    decode(third, update(100), update(4096), hex('82'));
    decode(third, hex('82'));
  });
});

describe('the dynamic table of a decoder', () => {
  it('follows updates down and up', () => {
    const decoder = newDecoder({ maxTableBytes: 100 });
    decode(decoder, ADD_A, ADD_B);
    assert.deepEqual([decoder.table.count, decoder.table.bytes], [2, 72]);
    decode(decoder, update(36));
    assert.equal(decoder.table.count, 1);
    assert.deepEqual(pairsOf(decode(decoder, hex('be'))), [['x-b', '2']]);
    decode(decoder, update(0));
    assert.equal(decoder.table.count, 0);
    decode(decoder, update(100), ADD_A);
    assert.equal(decoder.table.count, 1);
  });

  it('is emptied by an entry larger than itself, which is still a field of the list', () => {
    const decoder = newDecoder({ maxTableBytes: 64 });
    decode(decoder, ADD_A);
    const block = decode(decoder, literal({ first: 0x40, name: 'x-c', value: 'v'.repeat(100) }));
    assert.deepEqual(pairsOf(block), [['x-c', 'v'.repeat(100)]]);
    assert.deepEqual([decoder.table.count, decoder.table.bytes], [0, 0]);
  });

  it('may evict the entry whose name the new one uses', () => {
    const decoder = newDecoder({ maxTableBytes: 40 });
    decode(decoder, ADD_A);
    for (const bytes of [literal({ first: 0x40, name: 62, value: '9' }), hex('be')])
      assert.deepEqual(pairsOf(decode(decoder, bytes)), [['x-a', '9']]);
  });

  it('grows to as many entries as its bytes allow, in order', () => {
    const decoder = newDecoder({ maxTableBytes: 65_536 });
    const names = Array.from({ length: 1900 }, (_, at) => at.toString(36));
    for (const name of names) decode(decoder, literal({ first: 0x40, name, value: '' }));
    assert.equal(decoder.table.count, 1900);
    for (const at of [0, 1, 63, 64, 1000, 1899])
      assert.deepEqual(pairsOf(decode(decoder, indexed(62 + at))), [[names[1899 - at], '']]);
  });
});

describe('the limits of a list', () => {
  it('count fields and bytes as RFC 9113 section 10.5.1 does, also of repeated fields', () => {
    const block = Buffer.concat([hex('8286'), ADD_A]);
    const bytes = 7 + 3 + 32 + (7 + 4 + 32) + (3 + 1 + 32);
    const { bytes: counted, count } = decode(newDecoder(), block);
    assert.deepEqual([counted, count], [bytes, 3]);
    for (const [limits, isOver] of [
      [{ maxListBytes: bytes }, false],
      [{ maxListBytes: bytes - 1 }, true],
      [{ maxFields: 3 }, false],
      [{ maxFields: 2 }, true],
    ] as const)
      assert.equal(decode(newDecoder(limits), block).overLimit, isOver, JSON.stringify(limits));
    assert.equal(decode(newDecoder({ maxFields: 1 }), hex('8286')).overLimit, true);
  });

  it('keep nothing beyond them, but keep the table in step', () => {
    const decoder = newDecoder({ maxFields: 2 });
    const block = decode(decoder, hex('8286'), ADD_A, ADD_B);
    assert.deepEqual(pairsOf(block), Object.entries({ ':method': 'GET', ':scheme': 'http' }));
    assert.equal(block.count, 4);
    const kept = pairsOf(decode(decoder, hex('bebf')));
    assert.deepEqual(kept.sort(), Object.entries({ 'x-a': '1', 'x-b': '2' }));
  });

  it('bound a bomb of references to one large entry', () => {
    const decoder = newDecoder({ maxListBytes: 16_384, maxFields: 100 });
    decode(decoder, literal({ first: 0x40, name: 'x-bomb', value: 'b'.repeat(3900) }));
    const block = decode(decoder, Buffer.alloc(16_000, 0xbe));
    assert.deepEqual([block.overLimit, block.count], [true, 16_000]);
    assert.ok(fieldsOf(block).length <= 4);
  });
});

describe('never-indexed fields', () => {
  it('keep their mark, are always extras, and are a new field each time', () => {
    const decoder = newDecoder();
    const secret = { name: 'x-secret', value: 'hunter2', huffman: true };
    const bytes = literal({ first: 0x10, ...secret });
    const first = decode(decoder, bytes).extras[0]!;
    for (let round = 0; round < 3; round++) {
      const block = decode(decoder, bytes);
      assert.deepEqual([block.stable.count, block.extras[0]!.neverIndexed], [0, true]);
      assert.notEqual(block.extras[0], first);
    }
    assert.equal(fieldsOf(decode(decoder, literal(secret)))[0]!.neverIndexed, false);
  });
});
