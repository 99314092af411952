import assert from 'node:assert/strict';
import type { Attempt } from '../../../../sidecar/relay/attempt.js';
import { MessageTail } from '../../../../sidecar/relay/stream/message-tail.js';

const PART = Buffer.alloc(8 * 1024, 'x');

describe('The beginning of a message of a resumable stream', () => {
  let held: number;
  let attempt: Attempt;
  let tail: MessageTail;

  beforeEach(() => {
    held = 0;
    attempt = {
      hold: (bytes: number) => {
        held += bytes;
      },
      releaseHeld: () => {
        held = 0;
      },
    } as unknown as Attempt;
    tail = new MessageTail();
  });

  it('a message of 16 KiB is held, and one byte more is refused and not counted', () => {
    assert.ok(tail.hold(attempt, PART, 0, PART.length));
    assert.ok(tail.hold(attempt, PART, 0, PART.length));
    assert.equal(tail.hold(attempt, PART, 0, 1), false);
    assert.equal(held, 16 * 1024);
    assert.equal(tail.take(attempt)?.bytes, 16 * 1024);
  });

  it('a first message that was held already is held, however large; the next one is not', () => {
    tail.expect(24 * 1024);
    for (let i = 0; i < 3; i++) assert.ok(tail.hold(attempt, PART, 0, PART.length));
    assert.equal(tail.hold(attempt, PART, 0, 1), false);
    assert.equal(tail.take(attempt)?.bytes, 24 * 1024);
    for (let i = 0; i < 2; i++) assert.ok(tail.hold(attempt, PART, 0, PART.length));
    assert.equal(tail.hold(attempt, PART, 0, 1), false);
  });

  it('what is handed over is counted and held no more', () => {
    tail.hold(attempt, PART, 1, 4);
    assert.equal(tail.isEmpty, false);
    assert.equal(tail.take(attempt)?.whole().toString(), 'xxx');
    assert.deepEqual([tail.isEmpty, held, tail.take(attempt)], [true, 0, null]);
  });

  it('what an endpoint sent that died is dropped', () => {
    tail.hold(attempt, PART, 0, 3);
    tail.drop();
    assert.equal(tail.take(attempt), null);
  });
});
