import assert from 'node:assert/strict';
import { findMessageEnd, type PartialPrefix } from '../../../sidecar/relay/request-messages.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';

/** A request that comes in parts, as `RelayedCall.onData` takes them. */
class Request {
  requestBytes = 0;
  messageEndsAt = 0;
  prefix: PartialPrefix | null = null;

  get isComplete(): boolean {
    return this.requestBytes >= this.messageEndsAt;
  }

  take(part: Buffer): this {
    // In a larger read, as bytes of a connection are.
    const read = Buffer.concat([Buffer.from([7, 7, 7]), part, Buffer.from([9, 9])]);
    this.requestBytes += part.length;
    if (this.requestBytes >= this.messageEndsAt) findMessageEnd(this, read, 3, 3 + part.length);
    return this;
  }
}

describe('The messages of a request', () => {
  const bodies = [0, 1, 300, 0, 0, 70_000, 4].map((n) => grpcMessage(Buffer.alloc(n, 255)));
  const whole = Buffer.concat(bodies);
  const ends = new Set<number>();
  let at = 0;
  for (const { length } of bodies) {
    at += length;
    ends.add(at);
  }

  for (const size of [1, 2, 3, 4, 5, 6, 7, 64, 301, 16_384, 70_000, whole.length])
    it(`are complete at their ends, and nowhere else, in parts of ${size} bytes`, () => {
      const request = new Request();
      for (let from = 0; from < whole.length; from += size) {
        request.take(whole.subarray(from, from + size));
        assert.equal(request.isComplete, ends.has(request.requestBytes), `at ${request.requestBytes}`);
      }
      assert.equal(request.requestBytes, whole.length);
    });

  it('an empty frame changes nothing', () => {
    const request = new Request().take(whole.subarray(0, 2)).take(Buffer.alloc(0));
    assert.equal(request.isComplete, false);
    assert.equal(request.take(whole.subarray(2, 5)).take(Buffer.alloc(0)).isComplete, true);
  });

  it('what is no message never ends', () => {
    const request = new Request().take(grpcMessage(Buffer.alloc(1))).take(Buffer.from([2, 0, 0, 0, 0]));
    assert.equal(request.take(Buffer.alloc(100)).isComplete, false);
  });

  it('a message of the largest length ends where it says', () => {
    const request = new Request().take(Buffer.from([0, 255, 255]));
    assert.equal(request.take(Buffer.from([255, 255])).messageEndsAt, 5 + 0xffffffff);
  });
});
