import assert from 'node:assert/strict';
import { Stream, type StreamOwner } from '../../../sidecar/http2/stream.js';
import { StreamTable } from '../../../sidecar/http2/stream-table.js';
import { seeded } from '../../kit/time/seeded-random.js';

const OWNER: StreamOwner = { onHeaders() {}, onData() {}, onTrailers() {}, onEnding() {}, onSent() {} };

function stream(id: number): Stream {
  const made = new Stream(OWNER, 1, 1);
  made.id = id;
  return made;
}

describe('StreamTable', () => {
  it('finds what a plain map finds, whatever ids collide', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = seeded(seed);
      const table = new StreamTable();
      const plain = new Map<number, Stream>();
      let next = 1;
      for (let step = 0; step < 2000; step++) {
        if (random() < 0.5 + 0.1 * (seed % 3) && plain.size < 300) {
          // Steps that land on the same place again and again, as skipped ids may.
          next += 2 * (random() < 0.3 ? 1 : [64, 128, 1024, 4096][seed % 4]!);
          const added = stream(next);
          table.add(added);
          plain.set(next, added);
        } else if (plain.size > 0) {
          const ids = [...plain.keys()];
          const id = ids[Math.floor(random() * ids.length)]!;
          table.remove(plain.get(id)!);
          table.remove(plain.get(id)!);
          plain.delete(id);
          assert.equal(table.get(id), null);
        }
        assert.equal(table.size, plain.size);
      }
      for (const [id, each] of plain) assert.equal(table.get(id), each);
      assert.equal(table.get(next + 2), null);
      const ids = (streams: Iterable<Stream>): number[] =>
        Array.from(streams, ({ id }) => id).sort((a, b) => a - b);
      assert.deepEqual(ids(table.all()), ids(plain.values()));
    }
  });

  it('does not remove a stream for another in its slot', () => {
    const table = new StreamTable();
    const [old, fresh] = [stream(1), stream(129)];
    table.add(old);
    table.add(fresh);
    table.remove(fresh);
    assert.equal(table.get(129), null);
    assert.equal(table.get(1), old);
    table.remove(stream(1));
    assert.deepEqual([table.get(1), table.size], [null, 0]);
  });
});
