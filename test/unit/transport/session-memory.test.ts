import assert from 'node:assert/strict';
import { SessionMemory } from '../../../sidecar/transport/session-memory.js';
import { type Raw, rawServer } from '../../kit/http2/connection-under-test.js';
import * as h2 from '../../kit/http2/h2-frames.js';
import { Flag } from '../../kit/http2/h2-frames.js';
import { encode } from '../../kit/http2/hpack-lite.js';

/** A connection to an endpoint with a call on it, and what it holds of the memory budget. */
function outgoing() {
  const raw: Raw = rawServer();
  raw.side.open();
  raw.frames();
  const destroyed: string[] = [];
  const { connection } = raw.side;
  const memory = new SessionMemory(connection, connection.state.waiting, (why) => void destroyed.push(why));
  const block = encode([
    [':status', '200'],
    ['x-much', 'm'.repeat(40_000)],
  ]);
  const send = (from: number, to: number, flags = 0): void => {
    const part = block.subarray(from, to);
    raw.send(from === 0 ? h2.headers(1, part, flags) : h2.continuation(1, part, flags));
  };
  return { memory, send, destroyed, bytes: block.length };
}

describe('a connection to an endpoint, when memory is short', () => {
  it('is given up where a long header block of it does not end', () => {
    const { memory, send, destroyed } = outgoing();
    send(0, 16_000);
    send(16_000, 30_000);
    assert.equal(memory.heldBytes(), 30_000);
    assert.equal(memory.shed(1), 30_000);
    assert.deepEqual(destroyed, ['it is sending a long header block, and memory is short']);
  });

  it('is kept where that is short, or what the endpoint does not read is more', () => {
    const { memory, send, destroyed } = outgoing();
    send(0, 10_000);
    assert.deepEqual([memory.heldBytes(), memory.shed(1)], [10_000, 0]);
    send(10_000, 26_000);
    memory.setUnflushed(30_000);
    assert.deepEqual([memory.heldBytes(), memory.shed(1)], [56_000, 0]);
    assert.deepEqual(destroyed, []);
  });

  it('holds nothing once the block is complete', () => {
    const { memory, send, destroyed, bytes } = outgoing();
    send(0, 16_000);
    send(16_000, 32_000);
    send(32_000, bytes, Flag.endHeaders);
    assert.deepEqual([memory.heldBytes(), memory.shed(1), destroyed], [0, 0, []]);
  });
});
