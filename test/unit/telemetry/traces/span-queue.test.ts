import assert from 'node:assert/strict';
import { SpanQueue } from '../../../../sidecar/telemetry/traces/span-queue.js';

const fill = (queue: SpanQueue, calls: number, bytes: number, spans = 2): void => {
  for (let i = 0; i < calls && queue.hasRoom; i++) queue.add(Buffer.alloc(bytes, i & 0xff), bytes, spans);
};

describe('the queue of spans', () => {
  it('gives back what was put in, in its order', () => {
    const queue = new SpanQueue();
    for (const text of ['one', 'two', 'three']) queue.add(Buffer.from(`${text}...`), text.length, 1);
    const batch = queue.first(10)!;
    assert.equal(Buffer.concat(batch.parts).toString(), 'onetwothree');
    assert.deepEqual([batch.spans, batch.bytes, queue.spans], [3, 11, 3]);
    queue.remove(batch);
    assert.deepEqual([queue.spans, queue.bytes, queue.first(10)], [0, 0, undefined]);
  });

  it('adds nothing to a batch that is under way', () => {
    const queue = new SpanQueue();
    queue.add(Buffer.from('a'), 1, 1);
    const batch = queue.first(10)!;
    queue.add(Buffer.from('b'), 1, 1);
    assert.equal(Buffer.concat(batch.parts).toString(), 'a');
    queue.remove(batch);
    assert.equal(Buffer.concat(queue.first(10)!.parts).toString(), 'b');
    assert.equal(queue.spans, 1);
  });

  it('has room for 8,192 spans, and for 4 MiB', () => {
    const small = new SpanQueue();
    fill(small, 10_000, 10);
    assert.equal(small.spans, 8_192);
    const large = new SpanQueue();
    fill(large, 10_000, 60_000);
    assert.ok(large.bytes >= 4 * 1024 * 1024 && large.bytes < 4 * 1024 * 1024 + 60_000);
    assert.ok(large.spans < 8_192);
  });

  it('has room again once a batch is gone', () => {
    const queue = new SpanQueue();
    fill(queue, 10_000, 10);
    queue.remove(queue.first(512)!);
    assert.ok(queue.hasRoom);
  });

  it('says why spans were dropped', () => {
    const queue = new SpanQueue();
    queue.countDropped('full', 2);
    queue.isUnreachable = true;
    queue.countDropped('full', 3);
    queue.countDropped('encode', 1);
    const { full, unreachable, encode } = queue.dropped;
    assert.deepEqual([full, unreachable, encode], [2, 3, 1]);
  });

  it('says that spans have come', () => {
    const queue = new SpanQueue();
    let told = 0;
    queue.onAdded = () => void told++;
    fill(queue, 3, 10);
    assert.equal(told, 3);
    queue.clear();
    assert.deepEqual([queue.spans, queue.bytes, queue.first(1)], [0, 0, undefined]);
  });
});
