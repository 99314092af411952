/** The list of methods between sidecars: whole, bounded, and read without trust. */
import assert from 'node:assert/strict';
import { MAX_LIST_BYTES, readMethodList, writeMethodList } from '../../../sidecar/codec/method-list.js';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';

describe('The list of methods', () => {
  it('is read as it was written', () => {
    for (const list of [
      { unary: ['/a.B/C', '/a.B/D'], streaming: ['/a.B/E'] },
      { unary: [], streaming: [] },
    ])
      assert.deepEqual(readMethodList(writeMethodList(list)), list);
  });

  it('stays within its bound', () => {
    const unary = Array.from({ length: 256 }, (_, i) => `/a.${'x'.repeat(900)}/M${i}`);
    const bytes = writeMethodList({ unary, streaming: ['/a.B/C'] });
    assert.ok(bytes.length <= MAX_LIST_BYTES, `${bytes.length}`);
    assert.ok(readMethodList(bytes)!.unary.length > 50);
  });

  it('of very many methods keeps 256, and none that is no path', () => {
    const list = new MessageWriter().text(1, 'no path').text(2, '/a.B/C/D').number(1, 7).text(3, '/a.B/C');
    for (let i = 0; i < 1_000; i++) list.text(1, `/a.B/M${i}`);
    const read = readMethodList(list.finish())!;
    assert.deepEqual([read.unary.length, read.streaming.length], [256, 0]);
  });

  it('is none where it is no message', () => {
    for (const hex of ['0aff', 'ffffffffffffffffffffff', '0b'])
      assert.equal(readMethodList(Buffer.from(hex, 'hex')), undefined, hex);
  });
});
