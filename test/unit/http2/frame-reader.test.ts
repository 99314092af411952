import assert from 'node:assert/strict';
import { FrameReader, type FrameReceiver } from '../../../sidecar/http2/frame-reader.js';
import { ownBuffer } from '../../../sidecar/http2/owned-buffer.js';
import { rawClient, request } from '../../kit/http2/connection-under-test.js';
import { data, frame, rstStream } from '../../kit/http2/h2-frames.js';

/** A buffer that counts how many of its bytes are looked at one by one. */
function counted(bytes: Buffer): { readonly buffer: Buffer; readonly looks: () => number } {
  let looks = 0;
  const buffer = new Proxy(bytes, {
    get(target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) looks++;
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { buffer, looks: () => looks };
}

/** DATA of one byte each, of stream 1. */
const small = (frames: number): Buffer =>
  Buffer.concat(Array<Buffer>(frames).fill(data(1, Buffer.from('x'))));

class Receiver implements FrameReceiver {
  frames = 0;
  bytes = 0;
  offered = 0;
  constructor(private readonly takesRuns: boolean) {}
  onFrame(): void {
    this.frames++;
  }
  onDataStart(): void {
    this.frames++;
  }
  onDataRun(): boolean {
    this.offered++;
    return this.takesRuns;
  }
  onDataBytes(_buffer: Buffer, start: number, end: number): void {
    this.bytes += end - start;
  }
  onOversize(): void {}
}

describe('small DATA frames in one read', () => {
  for (const takesRuns of [true, false]) {
    it(`are looked at a constant number of times each where a run is ${takesRuns ? 'taken' : 'refused'}`, () => {
      const looksAt = (frames: number): number => {
        const receiver = new Receiver(takesRuns);
        const { buffer, looks } = counted(small(frames));
        new FrameReader(receiver).read(ownBuffer(buffer), 0, buffer.length);
        assert.equal(receiver.bytes, frames);
        return looks() / frames;
      };
      const most = takesRuns ? 30 : 40;
      for (const frames of [100, 3000]) {
        const looks = looksAt(frames);
        assert.ok(looks < most, `${looks} looks at each of ${frames} frames`);
      }
    });
  }

  it('of a stream that was reset are dropped together', () => {
    const raw = rawClient().send(request(1, 'more'));
    raw.side.reset(raw.side.told[0]!);
    raw.frames();
    const { buffer, looks } = counted(small(1000));
    raw.side.connection.receive(ownBuffer(buffer), 0);
    assert.ok(looks() < 30_000, `${looks()} looks`);
    assert.deepEqual(
      [raw.side.fatal, raw.side.state.recvWindow + raw.side.state.unannounced > 0],
      [[], true],
    );
  });

  it('within their content-length are taken together, and beyond it the stream is reset', () => {
    const raw = rawClient().send(request(1, 'more', [['content-length', '1000']]));
    const told = raw.side.told[0]!;
    const before = told.pieces.length;
    raw.send(small(1000));
    assert.equal(told.pieces.length - before, 1);
    assert.equal(told.stream.receivedBytes, 1000);
    assert.deepEqual(raw.said(), []);
    raw.send(small(2));
    assert.deepEqual(raw.said(), ['RST_STREAM 1 PROTOCOL']);
  });

  it('of a stream that the peer has reset are one violation', () => {
    const raw = rawClient().send(request(1, 'more'), rstStream(1, 8));
    raw.frames();
    raw.send(small(3));
    assert.deepEqual(raw.said(), ['RST_STREAM 1 STREAM_CLOSED']);
  });
});

describe('a reader with a limit on frames', () => {
  it('stops between two frames, and goes on where it stopped', () => {
    const receiver = new Receiver(false);
    const reader = new FrameReader(receiver);
    const bytes = Buffer.concat([small(5), frame(99, 0, 0, Buffer.alloc(4)), small(5)]);
    reader.framesLeft = 3;
    let at = reader.read(ownBuffer(bytes), 0, bytes.length);
    assert.deepEqual([at, receiver.frames], [30, 3]);
    assert.equal(reader.read(ownBuffer(bytes), at, bytes.length), at);
    reader.framesLeft = 100;
    at = reader.read(ownBuffer(bytes), at, bytes.length);
    assert.deepEqual([at, receiver.frames, receiver.bytes], [bytes.length, 11, 10]);
  });

  it('takes no more frames of a run than that', () => {
    const receiver = new Receiver(true);
    const reader = new FrameReader(receiver);
    reader.framesLeft = 7;
    assert.deepEqual([reader.read(ownBuffer(small(20)), 0, 200), receiver.bytes], [70, 7]);
  });

  it('ends the header that it has begun', () => {
    const receiver = new Receiver(true);
    const reader = new FrameReader(receiver);
    const bytes = small(2);
    reader.framesLeft = 1;
    assert.equal(reader.read(ownBuffer(bytes.subarray(0, 14)), 0, 14), 10);
    reader.framesLeft = 1;
    assert.equal(reader.read(ownBuffer(bytes.subarray(10, 14)), 0, 4), 4);
    reader.framesLeft = 0;
    assert.equal(reader.read(ownBuffer(bytes.subarray(14)), 0, 6), 6);
    assert.equal(receiver.bytes, 2);
  });
});
