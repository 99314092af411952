// RFC 7541 appendix C, to the byte.

import assert from 'node:assert/strict';
import { Encoder } from '../../../../sidecar/http2/hpack/encoder.js';
import { makeField } from '../../../../sidecar/http2/hpack/field.js';
import { StableList } from '../../../../sidecar/http2/hpack/header-list.js';
import { Cursor, readInteger, writeInteger } from '../../../../sidecar/http2/hpack/integer.js';
import { decode, fieldsOf, hex, newDecoder, pairsOf, sorted } from '../../../kit/http2/hpack-blocks.js';

const HOST = { ':authority': 'www.example.com' };
const FIRST = { ':method': 'GET', ':scheme': 'http', ':path': '/', ...HOST };
const SECURE = { ':method': 'GET', ':scheme': 'https', ':path': '/index.html', ...HOST };
const REQUESTS = [
  { list: FIRST, tableBytes: 57 },
  { list: { ...FIRST, 'cache-control': 'no-cache' }, tableBytes: 110 },
  { list: { ...SECURE, 'custom-key': 'custom-value' }, tableBytes: 164 },
];

const PRIVATE = { 'cache-control': 'private', location: 'https://www.example.com' };
const EARLIER = { ...PRIVATE, date: 'Mon, 21 Oct 2013 20:13:21 GMT' };
const LATER = { ...PRIVATE, date: 'Mon, 21 Oct 2013 20:13:22 GMT', 'content-encoding': 'gzip' };
const COOKIE = { 'set-cookie': 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1' };
const RESPONSES = [
  { list: { ':status': '302', ...EARLIER }, tableBytes: 222 },
  { list: { ':status': '307', ...EARLIER }, tableBytes: 222 },
  { list: { ':status': '200', ...LATER, ...COOKIE }, tableBytes: 215 },
];

const CHAINS = [
  {
    name: 'C.3 requests without Huffman coding',
    maxTableBytes: 4096,
    expected: REQUESTS,
    blocks: [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
  },
  {
    name: 'C.4 requests with Huffman coding',
    maxTableBytes: 4096,
    expected: REQUESTS,
    blocks: [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
  },
  {
    name: 'C.5 responses without Huffman coding, with eviction',
    maxTableBytes: 256,
    expected: RESPONSES,
    blocks: [
      `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32
       3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
      '4803 3330 37c1 c0bf',
      `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970
       7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61
       6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31`,
    ],
  },
  {
    name: 'C.6 responses with Huffman coding, with eviction',
    maxTableBytes: 256,
    expected: RESPONSES,
    blocks: [
      `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad
       1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
      '4883 640e ffc1 c0bf',
      `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2
       e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
    ],
  },
];

describe('RFC 7541 appendix C', () => {
  it('C.1: integers of one and several bytes, both ways', () => {
    for (const [text, mask, value] of [
      ['0a', 0x1f, 10],
      ['1f9a0a', 0x1f, 1337],
      ['2a', 0xff, 42],
    ] as const) {
      const buffer = hex(text);
      const cursor = new Cursor();
      assert.equal(readInteger(buffer, cursor, buffer.length, mask), value);
      assert.equal(cursor.at, buffer.length);
      const out = Buffer.alloc(8);
      assert.equal(out.subarray(0, writeInteger(out, 0, 0, mask, value)).toString('hex'), text);
    }
  });

  it('C.2.1: a literal with indexing enters the table', () => {
    const decoder = newDecoder();
    const block = decode(decoder, hex('400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572'));
    assert.deepEqual(pairsOf(block), [['custom-key', 'custom-header']]);
    assert.equal(decoder.table.bytes, 55);
    assert.deepEqual(pairsOf(decode(decoder, hex('be'))), [['custom-key', 'custom-header']]);
  });

  it('C.2.2: a literal without indexing does not', () => {
    const decoder = newDecoder();
    const block = decode(decoder, hex('040c 2f73 616d 706c 652f 7061 7468'));
    assert.deepEqual(pairsOf(block), [[':path', '/sample/path']]);
    assert.equal(decoder.table.count, 0);
  });

  it('C.2.3: a never-indexed literal does not, and is marked', () => {
    const decoder = newDecoder();
    const block = decode(decoder, hex('1008 7061 7373 776f 7264 0673 6563 7265 74'));
    assert.deepEqual(pairsOf(block), [['password', 'secret']]);
    assert.deepEqual([fieldsOf(block)[0]!.neverIndexed, decoder.table.count], [true, 0]);
  });

  it('C.2.4: an indexed field', () => {
    assert.deepEqual(pairsOf(decode(newDecoder(), hex('82'))), [[':method', 'GET']]);
  });

  for (const chain of CHAINS) {
    it(`${chain.name}: lists and table sizes after each block`, () => {
      const decoder = newDecoder({ maxTableBytes: chain.maxTableBytes });
      for (const [at, text] of chain.blocks.entries()) {
        const list = Object.entries(chain.expected[at]!.list);
        const block = decode(decoder, hex(text));
        assert.deepEqual(sorted(pairsOf(block)), sorted(list));
        const bytes = list.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
        assert.equal(block.bytes, bytes);
        assert.equal(decoder.table.bytes, chain.expected[at]!.tableBytes);
      }
    });
  }

  it('C.4: the encoder writes exactly these bytes', () => {
    const encoder = new Encoder();
    const out = Buffer.alloc(1024);
    const fields = new Map(
      REQUESTS.flatMap(({ list }) => Object.entries(list)).map(([n, v]) => [`${n} ${v}`, makeField(n, v)]),
    );
    for (const [at, { list }] of REQUESTS.entries()) {
      const stable = StableList.of(
        Object.entries(list).map(([name, value]) => fields.get(`${name} ${value}`)!),
      );
      const end = encoder.encode(stable, [], out, 0);
      assert.equal(out.subarray(0, end).toString('hex'), hex(CHAINS[1]!.blocks[at]!).toString('hex'));
    }
  });
});
