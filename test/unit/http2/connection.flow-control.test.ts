import assert from 'node:assert/strict';
import { Readiness } from '../../../sidecar/http2/constants.js';
import { Side, type SideOptions } from '../../kit/http2/connection-pair.js';
import {
  calling,
  endingsOf,
  Raw,
  rawClient,
  rawServer,
  request,
  responding,
  response,
} from '../../kit/http2/connection-under-test.js';
import * as h2 from '../../kit/http2/h2-frames.js';
import { FrameType, Setting } from '../../kit/http2/h2-frames.js';
import { BYTES, SPLITS, WHOLE } from '../../kit/http2/splits.js';

const MAX = 0x7fffffff;
const DEFAULT = 65_535;

const window = (bytes: number): Buffer => h2.settings([[Setting.initialWindowSize, bytes]]);

/** A server whose streams are given `bytes` of answer each, of which nothing has been written yet. */
function answering(bytes: number, initialWindow = DEFAULT): Raw {
  const body = Buffer.alloc(bytes, 7);
  const raw = rawClient({
    onStream: (told, side) => {
      side.respond(told);
      side.send(told, body, 'end');
    },
  });
  raw.send(window(initialWindow)).frames();
  return raw;
}

/** A server whose client has not seen its SETTINGS yet. */
function newcomer(options: SideOptions): Raw {
  const raw = new Raw(new Side('server', options), WHOLE, false);
  raw.send(h2.PREFACE, h2.settings()).frames();
  return raw;
}

/** Bytes of DATA written by stream since the last look. */
function written(raw: Raw): [id: number, bytes: number][] {
  const bytes = new Map<number, number>();
  for (const { type, streamId, payload } of raw.frames())
    if (type === FrameType.data) bytes.set(streamId, (bytes.get(streamId) ?? 0) + payload.length);
  return [...bytes];
}

describe('sending within windows', () => {
  it('stops at the stream window and continues with what is added', () => {
    const raw = answering(200_000, 1000);
    assert.deepEqual(written(raw.send(request(1))), [[1, 1000]]);
    assert.deepEqual(written(raw.send(h2.windowUpdate(1, 1))), [[1, 1]]);
    assert.deepEqual(written(raw.send(h2.windowUpdate(0, 500_000))), []);
    assert.deepEqual(written(raw.send(h2.windowUpdate(1, 200_000))), [[1, 198_999]]);
  });

  it('stops at the connection window, and shares what is added in turn', () => {
    const raw = answering(100_000, 1_000_000);
    const first = written(raw.send(request(1), request(3), request(5))).map(([, n]) => n);
    assert.equal(
      first.reduce((sum, n) => sum + n),
      DEFAULT,
    );
    for (const n of first) assert.ok(n <= 2 * 16_384 && n >= 16_383, String(n));
    // The stream that has waited longest is next: a small addition goes to one, the next to another.
    const turns = Array.from({ length: 6 }, () => {
      const given = written(raw.send(h2.windowUpdate(0, 16_384)));
      assert.equal(given.length, 1);
      return given[0]![0];
    });
    assert.deepEqual(turns.slice(0, 3).sort(), [1, 3, 5]);
    assert.deepEqual(turns.slice(3), turns.slice(0, 3));
  });

  it('sends headers, trailers and the end of an empty body without any window', () => {
    const raw = rawClient();
    raw.send(window(0), request(1), request(3)).frames();
    const [first, second] = raw.side.told;
    for (const told of raw.side.told) raw.side.respond(told);
    raw.side.trailers(first!);
    raw.side.send(second!, Buffer.alloc(0), 'end');
    assert.deepEqual(raw.said(), ['HEADERS 1 200', 'HEADERS 1 0 end', 'HEADERS 3 200 end']);
  });

  it('sends trailers after the payload that waits, in whatever order they were queued', () => {
    const { raw, told } = responding(window(3));
    raw.side.send(told, Buffer.from('hello'));
    assert.deepEqual(raw.said(), ['HEADERS 1 200', 'DATA 1 3']);
    raw.side.trailers(told);
    assert.deepEqual(raw.said(), []);
    assert.deepEqual(raw.send(h2.windowUpdate(1, 1)).said(), ['DATA 1 1']);
    assert.deepEqual(raw.send(h2.windowUpdate(1, 9)).said(), ['DATA 1 1', 'HEADERS 1 0 end']);
  });

  it("keeps to the peer's MAX_FRAME_SIZE, and to its own quantum", () => {
    const frames = ['DATA 1 16384', 'DATA 1 16384', 'DATA 1 16384', 'DATA 1 10848 end'];
    assert.deepEqual(answering(60_000).send(request(1)).said(), ['HEADERS 1 200', ...frames]);
  });

  it('a window lowered by SETTINGS below zero is worked off before more is sent (RFC 9113 section 6.9.2)', () => {
    const raw = answering(200_000, 1000);
    assert.deepEqual(written(raw.send(request(1))), [[1, 1000]]);
    raw.send(window(400));
    assert.equal(raw.side.told[0]!.stream.sendWindow, -600);
    assert.deepEqual(written(raw.send(h2.windowUpdate(1, 600))), []);
    assert.deepEqual(written(raw.send(h2.windowUpdate(1, 1))), [[1, 1]]);
    assert.deepEqual(written(raw.send(window(0), window(1000))), [[1, 600]]);
  });

  it('a stream with nothing to send is not made ready by a window', () => {
    const raw = rawClient();
    raw.send(request(1), h2.windowUpdate(1, 5), window(70_000)).frames();
    assert.equal(raw.side.state.firstReady, null);
  });

  it('a window may be 2^31 - 1, and not one more', () => {
    const raw = answering(1).send(request(1, 'more'), request(3, 'more'));
    const told = raw.side.told[0]!;
    told.stream.sendWindow = DEFAULT;
    raw.send(h2.windowUpdate(1, MAX - DEFAULT));
    assert.equal(told.stream.sendWindow, MAX);
    raw.send(h2.windowUpdate(1, 1));
    assert.equal(told.ending, 'violation 3');
    raw.send(h2.windowUpdate(0, MAX - DEFAULT));
    assert.equal(raw.side.state.sendWindow, MAX);
    raw.send(h2.windowUpdate(0, 1));
    assert.equal(raw.side.fatal[0]!.code, 3);
  });

  it('a window of a request that waits for its first flush follows SETTINGS', () => {
    const raw = rawServer();
    const told = raw.side.open(undefined, 'more');
    raw.side.send(told, Buffer.alloc(1000));
    assert.deepEqual(written(raw.send(window(10))), [[1, 10]]);
  });

  it('a peer that opens windows by one byte at a time gets all of it in order', () => {
    const body = Buffer.from(Array.from({ length: 700 }, (_, i) => i & 255));
    const { raw, told } = responding(window(0));
    raw.side.send(told, body, 'end');
    const got = Array.from({ length: 700 }, () => raw.send(h2.windowUpdate(1, 1)).payload());
    assert.ok(Buffer.concat(got).equals(body));
  });
});

describe('streams that wait for the connection window', () => {
  const starving = (): Raw => {
    const raw = answering(DEFAULT, 1_000_000);
    raw.send(request(1)).frames();
    assert.equal(raw.side.state.sendWindow, 0);
    return raw;
  };

  it('are queued once, however many pieces they get', () => {
    const { raw, told } = responding(window(1_000_000));
    raw.side.send(told, Buffer.alloc(DEFAULT));
    for (let i = 0; i < 1000; i++) {
      raw.side.send(told, Buffer.alloc(1));
      raw.frames();
      assert.ok(raw.side.state.starved.length <= 1);
    }
    assert.deepEqual(written(raw.send(h2.windowUpdate(0, 500))), [[1, 500]]);
  });

  it('leave no entry when they are reset, by either side', () => {
    const raw = starving();
    for (let id = 3; id < 2003; id += 2) {
      raw.send(request(id)).frames();
      assert.equal(raw.side.state.starved.length, 1);
      if (id % 4 === 3) raw.send(h2.rstStream(id));
      else raw.side.reset(raw.side.told.at(-1)!);
      assert.equal(raw.side.state.starved.length, 0);
    }
    assert.deepEqual(written(raw.send(h2.windowUpdate(0, 100))), []);
  });

  it('are not starved by a stream that lost its own window meanwhile', () => {
    const raw = starving();
    raw.send(request(3), request(5)).frames();
    raw.send(window(0)).send(h2.windowUpdate(3, 10), h2.windowUpdate(0, 100));
    assert.deepEqual(written(raw), [[3, 10]]);
    assert.deepEqual(written(raw.send(h2.windowUpdate(5, 10))), [[5, 10]]);
  });
});

for (const [how, split] of SPLITS) {
  /** `credits`: whether payload is credited as it arrives. */
  const receiving = (initialWindow: number, credits = false): Raw =>
    rawClient({ credits, local: { initialWindow } }, split);
  /** DATA of stream 1. */
  const zeros = (bytes: number): Buffer => h2.data(1, Buffer.alloc(bytes));

  describe(`receiving within windows, ${how}`, () => {
    it('accepts as much as the window and resets the stream for one byte more', () => {
      const raw = receiving(70_000).send(request(1, 'more'), request(3, 'more'));
      for (let i = 0; i < 7; i++) raw.send(zeros(10_000));
      assert.deepEqual(raw.said(), []);
      assert.deepEqual(raw.send(zeros(0), zeros(1)).said(), ['RST_STREAM 1 FLOW_CONTROL']);
      assert.equal(raw.side.told[0]!.ending, 'violation 3');
      raw.send(h2.data(3, Buffer.alloc(1)));
      assert.equal(raw.side.told[1]!.bytes, 1);
    });

    it('returns stream credit when half the window has been passed on, not before', () => {
      const raw = receiving(70_000).send(request(1, 'more'), zeros(16_000), zeros(16_000), zeros(8000));
      const { connection, told } = raw.side;
      const { stream } = told[0]!;
      connection.credit(stream, 34_999, 0);
      assert.deepEqual(raw.said(), []);
      connection.credit(stream, 1, 0);
      assert.deepEqual(raw.said(), ['WINDOW_UPDATE 1 35000']);
      assert.equal(stream.recvWindow, 65_000);
    });

    it('raises the window on request, once', () => {
      const raw = receiving(70_000).send(
        request(1, 'more'),
        ...Array.from({ length: 4 }, () => zeros(10_000)),
      );
      const stream = raw.side.told[0]!.stream;
      raw.side.connection.credit(stream, 40_000, 200_000);
      assert.deepEqual(raw.said(), ['WINDOW_UPDATE 1 170000']);
      assert.deepEqual([stream.recvWindow, stream.recvTarget], [200_000, 200_000]);
    });

    it('counts padding against both windows and returns its credit at once', () => {
      const raw = receiving(70_000, true).send(request(1, 'more'));
      for (let i = 0; i < 600; i++) raw.send(h2.paddedData(1, Buffer.alloc(0), 255));
      assert.deepEqual(raw.side.told[0]!.ending, '');
      const updates = raw.said().map((line) => line.split(' '));
      assert.ok(updates.every(([what, id]) => what === 'WINDOW_UPDATE' && id === '1'));
      const sum = updates.reduce((total, [, , n]) => total + Number(n), 0);
      assert.ok(sum > 600 * 256 - 35_000 - 256 && sum <= 600 * 256, String(sum));
    });

    it('returns the padding of a frame whose payload is passed on', () => {
      const raw = receiving(70_000).send(request(1, 'more'));
      for (let i = 0; i < 100; i++) raw.send(h2.paddedData(1, Buffer.alloc(100), 255));
      const { stream } = raw.side.told[0]!;
      assert.equal(stream.unannounced, 25_600);
      raw.side.connection.credit(stream, 10_000, 0);
      assert.deepEqual(raw.said(), ['WINDOW_UPDATE 1 35600']);
    });

    it('returns connection credit on receipt, for payload that is dropped too', () => {
      const local = { connectionWindow: 100_000, initialWindow: 1_000_000 };
      const raw = rawClient({ credits: false, local }, split).send(request(1, 'more'), request(3, 'more'));
      raw.side.reset(raw.side.told[0]!);
      raw.frames();
      for (let i = 0; i < 40; i++) raw.send(h2.data(i % 2 === 0 ? 1 : 3, Buffer.alloc(10_000)));
      assert.deepEqual(raw.said(), new Array<string>(8).fill('WINDOW_UPDATE 0 50000'));
      assert.deepEqual([raw.side.told[1]!.bytes, raw.side.state.recvWindow], [200_000, 100_000]);
    });

    it('ends the connection for one byte beyond its window', () => {
      const raw = rawClient({ local: { connectionWindow: DEFAULT, initialWindow: 1_000_000 } }, split);
      raw.send(request(1, 'more'));
      // Credit that has been announced counts, whether or not it was read by then.
      raw.side.state.unannounced = -1_000_000;
      for (let left = DEFAULT; left > 0; left -= 16_384) raw.send(zeros(Math.min(left, 16_384)));
      assert.deepEqual(raw.side.fatal, []);
      assert.deepEqual(raw.send(zeros(1)).said(), ['GOAWAY 1 FLOW_CONTROL']);
    });

    it('does not return credit for a stream that has ended or was reset', () => {
      const raw = receiving(70_000);
      raw.send(request(1, 'more'), zeros(16_000), zeros(16_000), h2.data(1, Buffer.alloc(16_000), 1));
      raw.side.connection.credit(raw.side.told[0]!.stream, 48_000, 0);
      raw.send(request(3, 'more'), h2.data(3, Buffer.alloc(16_000)), h2.rstStream(3));
      raw.side.connection.credit(raw.side.told[1]!.stream, 50_000, 0);
      assert.deepEqual(raw.said(), []);
    });
  });
}

describe('an initial window smaller than that of the RFC', () => {
  it('applies from the acknowledgement on, as the client cannot know of it before', () => {
    const raw = newcomer({ local: { initialWindow: 1000 }, credits: false });
    assert.deepEqual(raw.send(request(1, 'more'), h2.data(1, Buffer.alloc(16_000))).said(), []);
    raw.send(h2.settingsAck(), request(3, 'more'), h2.data(3, Buffer.alloc(1001)));
    assert.deepEqual(raw.said(), ['RST_STREAM 3 FLOW_CONTROL']);
  });

  it('applies to the streams opened before that as well, which get their credit by it', () => {
    const raw = newcomer({ local: { initialWindow: 32_768 } });
    const piece = h2.data(1, Buffer.alloc(10_000));
    raw.send(request(1, 'more'), piece, piece, piece);
    assert.deepEqual(raw.said(), []);
    assert.deepEqual(raw.send(h2.settingsAck()).said(), ['WINDOW_UPDATE 1 30000']);
    const { stream } = raw.side.told[0]!;
    assert.deepEqual([stream.recvWindow, stream.recvTarget], [32_768, 32_768]);
  });

  it('may be below zero then, until what came is passed on', () => {
    const raw = newcomer({ local: { initialWindow: 1000 }, credits: false });
    raw.send(request(1, 'more'), h2.data(1, Buffer.alloc(16_000)), h2.settingsAck());
    const { stream } = raw.side.told[0]!;
    assert.equal(stream.recvWindow, -15_000);
    raw.side.connection.credit(stream, 16_000, 0);
    assert.deepEqual(raw.said(), ['WINDOW_UPDATE 1 16000']);
    assert.deepEqual(raw.send(h2.data(1, Buffer.alloc(1001))).said(), ['RST_STREAM 1 FLOW_CONTROL']);
  });
});

describe('a window that becomes smaller', () => {
  it('applies from its own acknowledgement on, not from that of other SETTINGS before it', () => {
    const raw = rawClient();
    const { connection, state } = raw.side;
    const before = state.initialWindow;
    connection.announceReadiness(Readiness.loading);
    connection.setInitialWindow(1000);
    connection.announceReadiness(Readiness.serving);
    raw.send(h2.settingsAck());
    assert.equal(state.initialWindow, before);
    raw.send(h2.settingsAck());
    assert.equal(state.initialWindow, 1000);
    // Beyond what was sent there is nothing to acknowledge.
    raw.send(h2.settingsAck(), h2.settingsAck());
    connection.setInitialWindow(500);
    assert.equal(state.initialWindow, 1000);
    raw.send(h2.settingsAck());
    assert.equal(state.initialWindow, 500);
  });
});

describe('the bytes reported to the owner by onSent', () => {
  it('add up to what was written, whatever the windows', () => {
    const raw = answering(50_000, 7);
    raw.split = BYTES;
    raw.send(request(1));
    const told = raw.side.told[0]!;
    let seen = 0;
    for (let i = 0; seen < 50_000; i++) {
      seen += raw.payload().length;
      assert.equal(told.sent, seen);
      raw.send(h2.windowUpdate(1, 1 + i * 13));
    }
    assert.equal(seen, 50_000);
  });
});

describe('a response to a stream whose server has no room', () => {
  it('goes on after the request was reset by a misbehaving peer without touching others', () => {
    const { raw, told } = calling(['more', 'more'], { values: [[Setting.initialWindowSize, 5]] });
    for (const each of told) raw.side.send(each, Buffer.alloc(50));
    raw.frames();
    raw.send(h2.windowUpdate(1, 0), h2.windowUpdate(3, 45), response(3, 'more'));
    assert.deepEqual(raw.said(), ['RST_STREAM 1 PROTOCOL', 'DATA 3 45']);
    assert.deepEqual(endingsOf(told), ['violation 1', '']);
  });
});
