import assert from 'node:assert/strict';
import type { SideOptions } from '../../kit/http2/connection-pair.js';
import { type Raw, rawClient, rawServer, request, response } from '../../kit/http2/connection-under-test.js';
import {
  data,
  frame,
  paddedData,
  rstStream,
  Setting,
  settings,
  windowUpdate,
} from '../../kit/http2/h2-frames.js';
import type { Told } from '../../kit/http2/recorded-events.js';
import { OCTETS, SPLITS } from '../../kit/http2/splits.js';

const MAX = 0x7fffffff;
const DEFAULT = 65_535;

/** A server whose streams are given `bytes` of answer each, of which nothing has been written yet. */
function answering(bytes: number, values: readonly (readonly [number, number])[] = []): Raw {
  const body = Buffer.alloc(bytes, 7);
  const raw = rawClient({
    onStream: (told, side) => {
      side.respond(told);
      side.send(told, body, 'end');
    },
  });
  if (values.length > 0) raw.send(settings(values)).frames();
  return raw;
}

/** Octets of DATA written by stream since the last look. */
function dataBytes(raw: Raw): Map<number, number> {
  const bytes = new Map<number, number>();
  for (const { type, streamId, payload } of raw.frames()) {
    if (type === 0) bytes.set(streamId, (bytes.get(streamId) ?? 0) + payload.length);
  }
  return bytes;
}

describe('sending within windows', () => {
  it('stops at the stream window and continues with what is added', () => {
    const raw = answering(200_000, [[Setting.initialWindowSize, 1000]]);
    raw.send(request(1));
    assert.deepEqual([...dataBytes(raw)], [[1, 1000]]);
    raw.send(windowUpdate(1, 1));
    assert.deepEqual([...dataBytes(raw)], [[1, 1]]);
    raw.send(windowUpdate(0, 500_000));
    assert.deepEqual([...dataBytes(raw)], []);
    raw.send(windowUpdate(1, 200_000));
    assert.deepEqual([...dataBytes(raw)], [[1, 198_999]]);
  });

  it('stops at the connection window, and shares what is added in turn', () => {
    const raw = answering(100_000, [[Setting.initialWindowSize, 1_000_000]]);
    raw.send(request(1), request(3), request(5));
    const first = dataBytes(raw);
    assert.equal(
      [...first.values()].reduce((sum, n) => sum + n, 0),
      DEFAULT,
    );
    for (const n of first.values()) assert.ok(n <= 2 * 16_384 && n >= 16_383, String(n));
    // Whoever waits first is served first: a small addition goes to one, the next to another.
    const turns: number[] = [];
    for (let i = 0; i < 6; i++) {
      raw.send(windowUpdate(0, 16_384));
      const given = [...dataBytes(raw)];
      assert.equal(given.length, 1);
      turns.push(given[0]![0]);
    }
    assert.deepEqual(turns.slice(0, 3).sort(), [1, 3, 5]);
    assert.deepEqual(turns.slice(3), turns.slice(0, 3));
  });

  it('sends headers, trailers and the end of an empty body without any window', () => {
    const raw = rawClient({
      onStream: (told, side) => {
        side.respond(told);
        if (told.stream.id === 1) side.trailers(told);
        else side.send(told, Buffer.alloc(0), 'end');
      },
    });
    raw.send(settings([[Setting.initialWindowSize, 0]])).frames();
    raw.send(request(1), request(3));
    assert.deepEqual(raw.said(), ['HEADERS 1 200', 'HEADERS 1 0 end', 'HEADERS 3 200 end']);
  });

  it('sends trailers after the payload that waits, in whatever order they were queued', () => {
    const raw = rawClient();
    raw.send(settings([[Setting.initialWindowSize, 3]]), request(1)).frames();
    const told = raw.side.told[0]!;
    raw.side.respond(told);
    raw.side.send(told, Buffer.from('hello'));
    assert.deepEqual(raw.said(), ['HEADERS 1 200', 'DATA 1 3']);
    raw.side.trailers(told);
    assert.deepEqual(raw.said(), []);
    raw.send(windowUpdate(1, 1));
    assert.deepEqual(raw.said(), ['DATA 1 1']);
    raw.send(windowUpdate(1, 9));
    assert.deepEqual(raw.said(), ['DATA 1 1', 'HEADERS 1 0 end']);
  });

  it("keeps to the peer's MAX_FRAME_SIZE, and to its own quantum", () => {
    const raw = answering(60_000);
    raw.send(request(1));
    assert.deepEqual(raw.said(), [
      'HEADERS 1 200',
      'DATA 1 16384',
      'DATA 1 16384',
      'DATA 1 16384',
      'DATA 1 10848 end',
    ]);
  });

  it('a window lowered by SETTINGS below zero is worked off before more is sent (RFC 9113 section 6.9.2)', () => {
    const raw = answering(200_000, [[Setting.initialWindowSize, 1000]]);
    raw.send(request(1));
    assert.deepEqual([...dataBytes(raw)], [[1, 1000]]);
    raw.send(settings([[Setting.initialWindowSize, 400]]));
    assert.equal(raw.side.told[0]!.stream.sendWindow, -600);
    raw.send(windowUpdate(1, 600));
    assert.deepEqual([...dataBytes(raw)], []);
    raw.send(windowUpdate(1, 1));
    assert.deepEqual([...dataBytes(raw)], [[1, 1]]);
    raw.send(settings([[Setting.initialWindowSize, 0]]), settings([[Setting.initialWindowSize, 1000]]));
    assert.deepEqual([...dataBytes(raw)], [[1, 600]]);
  });

  it('a stream with nothing to send is not made ready by a window', () => {
    const raw = rawClient();
    raw.send(request(1), windowUpdate(1, 5), settings([[Setting.initialWindowSize, 70_000]])).frames();
    assert.equal(raw.side.state.firstReady, null);
  });

  it('a window may be 2^31 - 1, and not one more', () => {
    const raw = answering(1);
    raw.send(request(1, 'more'), request(3, 'more'));
    raw.side.told[0]!.stream.sendWindow = DEFAULT;
    raw.send(windowUpdate(1, MAX - DEFAULT));
    assert.equal(raw.side.told[0]!.stream.sendWindow, MAX);
    raw.send(windowUpdate(1, 1));
    assert.equal(raw.side.told[0]!.ending, 'violation 3');
    raw.send(windowUpdate(0, MAX - DEFAULT));
    assert.equal(raw.side.state.sendWindow, MAX);
    raw.send(windowUpdate(0, 1));
    assert.equal(raw.side.fatal[0]!.code, 3);
  });

  it('a window of a request that waits for its first flush follows SETTINGS', () => {
    const raw = rawServer();
    const told = raw.side.open(undefined, 'more');
    raw.side.send(told, Buffer.alloc(1000));
    raw.send(settings([[Setting.initialWindowSize, 10]]));
    assert.deepEqual([...dataBytes(raw)], [[1, 10]]);
  });

  it('a peer that opens windows by one octet at a time gets all of it in order', () => {
    const body = Buffer.from(Array.from({ length: 700 }, (_, i) => i & 255));
    const raw = rawClient();
    raw.send(settings([[Setting.initialWindowSize, 0]]), request(1));
    raw.side.respond(raw.side.told[0]!);
    raw.side.send(raw.side.told[0]!, body, 'end');
    const got: Buffer[] = [];
    for (let i = 0; i < 700; i++) {
      for (const each of raw.send(windowUpdate(1, 1)).frames()) if (each.type === 0) got.push(each.payload);
    }
    assert.ok(Buffer.concat(got).equals(body));
  });
});

describe('streams that wait for the connection window', () => {
  const starving = (): Raw => {
    const raw = answering(DEFAULT, [[Setting.initialWindowSize, 1_000_000]]);
    raw.send(request(1)).frames();
    assert.equal(raw.side.state.sendWindow, 0);
    return raw;
  };

  it('are queued once, however many pieces they get', () => {
    const raw = rawClient();
    raw.send(settings([[Setting.initialWindowSize, 1_000_000]]), request(1)).frames();
    const told = raw.side.told[0]!;
    raw.side.respond(told);
    raw.side.send(told, Buffer.alloc(DEFAULT));
    for (let i = 0; i < 1000; i++) {
      raw.side.send(told, Buffer.alloc(1));
      raw.frames();
      assert.ok(raw.side.state.starved.length <= 1);
    }
    raw.send(windowUpdate(0, 500));
    assert.deepEqual([...dataBytes(raw)], [[1, 500]]);
  });

  it('leave no entry when they are reset, by either side', () => {
    const raw = starving();
    for (let id = 3; id < 2003; id += 2) {
      raw.send(request(id)).frames();
      assert.equal(raw.side.state.starved.length, 1);
      if (id % 4 === 3) raw.send(rstStream(id));
      else raw.side.reset(raw.side.told.at(-1)!);
      assert.equal(raw.side.state.starved.length, 0);
    }
    raw.send(windowUpdate(0, 100));
    assert.deepEqual([...dataBytes(raw)], []);
  });

  it('are not starved by a stream that lost its own window meanwhile', () => {
    const raw = starving();
    raw.send(request(3), request(5)).frames();
    raw.send(settings([[Setting.initialWindowSize, 0]]));
    raw.send(windowUpdate(3, 10), windowUpdate(0, 100));
    assert.deepEqual([...dataBytes(raw)], [[3, 10]]);
    raw.send(windowUpdate(5, 10));
    assert.deepEqual([...dataBytes(raw)], [[5, 10]]);
  });
});

for (const [how, split] of SPLITS) {
  const receiving = (window: number, options: SideOptions = {}): Raw =>
    rawClient({ ...options, local: { initialWindow: window } }, split);

  describe(`receiving within windows, ${how}`, () => {
    it('accepts as much as the window and resets the stream for one octet more', () => {
      const raw = receiving(70_000, { credits: false });
      raw.send(request(1, 'more'), request(3, 'more'));
      for (let i = 0; i < 7; i++) raw.send(data(1, Buffer.alloc(10_000)));
      assert.deepEqual(raw.said(), []);
      raw.send(data(1, Buffer.alloc(0)), data(1, Buffer.alloc(1)));
      assert.deepEqual(raw.said(), ['RST_STREAM 1 FLOW_CONTROL']);
      assert.equal(raw.side.told[0]!.ending, 'violation 3');
      raw.send(data(3, Buffer.alloc(1)));
      assert.equal(raw.side.told[1]!.bytes, 1);
    });

    it('returns stream credit when half the window has been passed on, not before', () => {
      const raw = receiving(70_000, { credits: false });
      raw.send(
        request(1, 'more'),
        data(1, Buffer.alloc(16_000)),
        data(1, Buffer.alloc(16_000)),
        data(1, Buffer.alloc(8000)),
      );
      const { connection, told } = raw.side;
      connection.credit(told[0]!.stream, 34_999, 0);
      assert.deepEqual(raw.said(), []);
      connection.credit(told[0]!.stream, 1, 0);
      assert.deepEqual(raw.said(), ['WINDOW_UPDATE 1 35000']);
      assert.equal(told[0]!.stream.recvWindow, 65_000);
    });

    it('raises the window on request, once', () => {
      const raw = receiving(70_000, { credits: false });
      raw.send(request(1, 'more'), ...Array.from({ length: 4 }, () => data(1, Buffer.alloc(10_000))));
      const stream = raw.side.told[0]!.stream;
      raw.side.connection.credit(stream, 40_000, 200_000);
      assert.deepEqual(raw.said(), ['WINDOW_UPDATE 1 170000']);
      assert.deepEqual([stream.recvWindow, stream.recvTarget], [200_000, 200_000]);
    });

    it('counts padding against both windows and returns its credit at once', () => {
      const raw = receiving(70_000);
      raw.send(request(1, 'more'));
      for (let i = 0; i < 600; i++)
        raw.send(frame(0, 8, 1, Buffer.concat([Buffer.from([255]), Buffer.alloc(255)])));
      assert.deepEqual(raw.side.told[0]!.ending, '');
      const updates = raw.said().map((line) => line.split(' '));
      assert.ok(updates.every(([what, id]) => what === 'WINDOW_UPDATE' && id === '1'));
      const sum = updates.reduce((total, [, , n]) => total + Number(n), 0);
      assert.ok(sum > 600 * 256 - 35_000 - 256 && sum <= 600 * 256, String(sum));
    });

    it('returns the padding of a frame whose payload is passed on', () => {
      const raw = receiving(70_000, { credits: false });
      raw.send(request(1, 'more'));
      for (let i = 0; i < 100; i++) raw.send(paddedData(1, Buffer.alloc(100), 255));
      const { stream } = raw.side.told[0]!;
      assert.equal(stream.unannounced, 25_600);
      raw.side.connection.credit(stream, 10_000, 0);
      assert.deepEqual(raw.said(), ['WINDOW_UPDATE 1 35600']);
    });

    it('returns connection credit on receipt, for payload that is dropped too', () => {
      const raw = rawClient(
        { credits: false, local: { connectionWindow: 100_000, initialWindow: 1_000_000 } },
        split,
      );
      raw.send(request(1, 'more'), request(3, 'more'));
      raw.side.reset(raw.side.told[0]!);
      raw.frames();
      for (let i = 0; i < 40; i++) raw.send(data(i % 2 === 0 ? 1 : 3, Buffer.alloc(10_000)));
      assert.deepEqual(
        raw.said(),
        Array.from({ length: 8 }, () => 'WINDOW_UPDATE 0 50000'),
      );
      assert.equal(raw.side.told[1]!.bytes, 200_000);
      assert.equal(raw.side.state.recvWindow, 100_000);
    });

    it('ends the connection for one octet beyond its window', () => {
      const raw = rawClient({ local: { connectionWindow: DEFAULT, initialWindow: 1_000_000 } }, split);
      raw.send(request(1, 'more'));
      // Credit that has been announced counts, whether or not it was read by then.
      raw.side.state.unannounced = -1_000_000;
      for (let left = DEFAULT; left > 0; left -= 16_384)
        raw.send(data(1, Buffer.alloc(Math.min(left, 16_384))));
      assert.deepEqual(raw.side.fatal, []);
      raw.send(data(1, Buffer.alloc(1)));
      assert.deepEqual(raw.said(), ['GOAWAY 1 FLOW_CONTROL']);
    });

    it('does not return credit for a stream that has ended or was reset', () => {
      const raw = receiving(70_000, { credits: false });
      raw.send(
        request(1, 'more'),
        data(1, Buffer.alloc(16_000)),
        data(1, Buffer.alloc(16_000)),
        data(1, Buffer.alloc(16_000), 1),
      );
      raw.side.connection.credit(raw.side.told[0]!.stream, 48_000, 0);
      raw.send(request(3, 'more'), data(3, Buffer.alloc(16_000)), rstStream(3));
      raw.side.connection.credit(raw.side.told[1]!.stream, 50_000, 0);
      assert.deepEqual(raw.said(), []);
    });
  });
}

describe('an initial window smaller than that of the RFC', () => {
  it('applies from the acknowledgement on, as the client cannot know of it before', () => {
    const raw = rawClient({ local: { initialWindow: 1000 }, credits: false });
    raw.side.state.settingsAcked = false;
    raw.send(request(1, 'more'), data(1, Buffer.alloc(16_000)));
    assert.deepEqual(raw.said(), []);
    raw.send(frame(4, 1, 0), request(3, 'more'), data(3, Buffer.alloc(1001)));
    assert.deepEqual(raw.said(), ['RST_STREAM 3 FLOW_CONTROL']);
  });
});

describe('the octets reported to the owner by onSent', () => {
  it('add up to what was written, whatever the windows', () => {
    const raw = answering(50_000, [[Setting.initialWindowSize, 7]]);
    raw.split = OCTETS;
    raw.send(request(1));
    const told: Told = raw.side.told[0]!;
    let written = 0;
    for (let i = 0; written < 50_000; i++) {
      for (const n of dataBytes(raw).values()) written += n;
      assert.equal(told.sent, written);
      raw.send(windowUpdate(1, 1 + i * 13));
    }
    assert.equal(written, 50_000);
  });
});

describe('a response to a stream whose server has no room', () => {
  it('goes on after the request was reset by a misbehaving peer without touching others', () => {
    const raw = rawServer({}, undefined, [[Setting.initialWindowSize, 5]]);
    const first = raw.side.open(undefined, 'more');
    const second = raw.side.open(undefined, 'more');
    raw.side.send(first, Buffer.alloc(50));
    raw.side.send(second, Buffer.alloc(50));
    raw.frames();
    raw.send(windowUpdate(1, 0), windowUpdate(3, 45), response(3, 'more'));
    assert.deepEqual(raw.said(), ['RST_STREAM 1 PROTOCOL', 'DATA 3 45']);
    assert.deepEqual([first.ending, second.ending], ['violation 1', '']);
  });
});
