import assert from 'node:assert/strict';
import { ownBuffer } from '../../../sidecar/http2/owned-buffer.js';
import { ChunkList } from '../../../sidecar/transport/chunk-list.js';

function whole(pieces: ChunkList): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i < pieces.count; i++) {
    const { buffer, start, end } = pieces.at(i);
    parts.push(buffer.subarray(start, end));
  }
  return Buffer.concat(parts);
}

describe('ChunkList', () => {
  it('a chunk list returns its bytes, whatever their sizes', () => {
    const pieces = new ChunkList();
    const expected: Buffer[] = [];
    for (const size of [1, 5, 4095, 4096, 1, 1, 70_000, 3, 2000, 2000, 2000, 9, 65_536, 1]) {
      const read = Buffer.alloc(size + 7, size & 0xff);
      pieces.add(read, 3, 3 + size);
      expected.push(read.subarray(3, 3 + size));
    }
    assert.deepEqual(whole(pieces), Buffer.concat(expected));
    assert.equal(pieces.bytes, Buffer.concat(expected).length);
  });

  it('a chunk list gathers small pieces, so that their number stays small', () => {
    const pieces = new ChunkList();
    let cost = 0;
    const read = Buffer.alloc(64, 'x');
    for (let i = 0; i < 262_144; i++) {
      cost += pieces.cost(read, 9, 10);
      pieces.add(read, 9, 10);
    }
    assert.equal(whole(pieces).length, 262_144);
    assert.ok(pieces.count < 20, `${pieces.count} pieces`);
    assert.ok(cost >= 2 * 262_144 && cost < 4 * 262_144, `counted as ${cost}`);
  });

  it('hands the ownership of a buffer over once, and that of shared or copied bytes never', () => {
    const pieces = new ChunkList();
    const small = ownBuffer(Buffer.alloc(8_000));
    const large = ownBuffer(Buffer.allocUnsafeSlow(128 * 1024));
    pieces.addOwned(small, 9, 8_000);
    pieces.add(small, 9, 8_000);
    pieces.addOwned(large, 9, 5_009);
    assert.deepEqual(
      [0, 1, 2].map((i) => pieces.takeOwned(i)),
      [small, null, null],
    );
    assert.equal(pieces.takeOwned(0), null);
    assert.equal(pieces.at(0).buffer, small);
    assert.notEqual(pieces.at(2).buffer, large);
  });

  it('slices that were handed out do not change when more is added', () => {
    const pieces = new ChunkList();
    pieces.add(Buffer.from('a'), 0, 1);
    pieces.add(Buffer.from('b'), 0, 1);
    const { buffer, start, end } = pieces.at(1);
    pieces.add(Buffer.from('c'), 0, 1);
    assert.deepEqual([buffer.toString('latin1', start, end), whole(pieces).toString()], ['b', 'abc']);
  });

  it('a slice of a large read is copied, unless it is most of it', () => {
    const read = Buffer.alloc(100_000);
    const small = new ChunkList();
    small.add(read, 0, 5000);
    assert.equal(small.at(0).buffer.length, 5000);
    const large = new ChunkList();
    large.add(read, 0, 60_000);
    assert.equal(large.at(0).buffer, read);
  });
});
