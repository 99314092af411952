import assert from 'node:assert/strict';
import {
  BUCKETS,
  type Bucket,
  bucketsOf,
  INFORMATIONAL,
  LIMIT_NAMES,
  type LimitName,
  Meter,
  RESETS_SENT,
  UNREAD_CONTROL_BYTES,
} from '../../../sidecar/http2/limits.js';
import { STREAM_BYTES } from '../../../sidecar/http2/stream.js';
import { ANSWERS_AT_ONCE, REQUEST, RESPONSE } from '../../kit/http2/connection-pair.js';
import {
  calling,
  endingsOf,
  type Raw,
  rawClient,
  rawServer,
  request,
  response,
} from '../../kit/http2/connection-under-test.js';
import * as h2 from '../../kit/http2/h2-frames.js';
import { Setting } from '../../kit/http2/h2-frames.js';
import { encode, type Field, indexed, literal } from '../../kit/http2/hpack-lite.js';

const withCall = (): Raw => calling(['end']).raw;
const opened = (i: number): Buffer => request(odd(i), 'more');
const inTwo = (id: number): Buffer[] => [h2.headers(id, NOTHING, 1), h2.continuation(id, encode(REQUEST), 4)];
const open = (): Raw => rawClient().send(request(1, 'more'));
const closed = (): Raw => withCall().send(h2.rstStream(1));
const brief = (): Raw => rawClient({ local: { maxHeaderBytes: 300 } });
const LONG: readonly Field[] = [['x', 'y'.repeat(300)]];
/** More than four times what `brief` accepts. */
const FAR_TOO_LONG: readonly Field[] = [['x', 'y'.repeat(1200)]];
/** Of a header block of a client, with the default limits. */
const BLOCK_FRAMES = 32;
const BLOCK_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);
const odd = (i: number): number => 2 * i + 3;

type Counted = readonly [
  bucket: keyof typeof BUCKETS,
  what: string,
  /** What is done once. */
  frames: (i: number) => readonly Buffer[],
  /** Where it is not a server under test, and how often it has been done before the test begins. */
  start?: { readonly make?: () => Raw; readonly before?: number },
];

const COUNTED: readonly Counted[] = [
  ['rapid-resets', 'streams opened and reset', (i) => [request(odd(i)), h2.rstStream(odd(i))]],
  ['violations', 'requests that are malformed', (i) => [h2.headers(odd(i), Buffer.from([0x82]), 5)]],
  ['violations', 'windows of 0 on open streams', (i) => [opened(i), h2.windowUpdate(odd(i), 0)]],
  ['violations', 'payload after the end', (i) => [request(odd(i)), h2.data(odd(i), Buffer.alloc(1))]],
  ['violations', 'streams that depend on themselves', (i) => [opened(i), h2.priority(odd(i), odd(i))]],
  ['settings', 'SETTINGS', () => [h2.settings()], { before: 1 }],
  ['settings', 'SETTINGS of a server', () => [h2.settings()], { make: rawServer, before: 1 }],
  ['goaways', 'GOAWAY', () => [h2.goaway(0x7fffffff)], { make: rawServer }],
  ['pings', 'PING', () => [h2.ping()]],
  ['pings', 'PING of a server', () => [h2.ping()], { make: rawServer }],
  ['empty-frames', 'DATA of nothing', () => [h2.data(1, NOTHING)], { make: open }],
  ['empty-frames', 'HEADERS of nothing that end nothing', (i) => [...inTwo(odd(i)), h2.rstStream(odd(i))]],
  ['idle-frames', 'PRIORITY', () => [h2.priority(5, 3)]],
  ['idle-frames', 'unknown frames', () => [h2.frame(0xfe, 0, 0)]],
  ['idle-frames', 'acknowledgements of nothing', () => [h2.settingsAck()]],
  ['idle-frames', 'answers to no PING', () => [h2.ping(Buffer.alloc(8), 1)]],
  ['idle-frames', 'resets of closed streams by a server', () => [h2.rstStream(1)], { make: closed }],
  ['window-updates', 'WINDOW_UPDATE', () => [h2.windowUpdate(0, 1)]],
  [
    'header-list',
    'header lists that are far too long',
    (i) => [request(odd(i), 'end', FAR_TOO_LONG)],
    { make: brief },
  ],
];

/** What the connection has ended for. */
const cutsOf = (raw: Raw): string[] => raw.side.fatal.map(({ message }) => message);

/** The connection has ended for this limit alone. */
function assertCut(raw: Raw, limit: LimitName): void {
  assert.deepEqual([raw.said(), raw.side.limits], [['GOAWAY 0 CALM'], [limit]]);
}

describe('a request with a header list that is too long', () => {
  it('is told as such, as often as it comes, and its client keeps its connection', () => {
    const raw = brief();
    for (let i = 0; i < 400; i++) {
      raw.send(request(odd(i), 'end', LONG));
      raw.side.connection.reset(raw.side.told.at(-1)!.stream, 0);
      raw.side.take();
    }
    assert.deepEqual([raw.side.fatal, raw.side.told.length], [[], 400]);
    assert.deepEqual(
      raw.side.limits,
      Array.from({ length: 400 }, () => 'header-list'),
    );
  });
});

describe('header lists that are far too long', () => {
  const { burst } = BUCKETS['header-list'];
  const far = (id: number): Buffer => request(id, 'end', FAR_TOO_LONG);

  for (const [where, begin, id] of [
    ['streams beyond their limit', () => {}, odd],
    ['streams after our GOAWAY', ({ side }: Raw) => side.connection.finalGoaway(), odd],
    ['a stream that we have reset', ({ side }: Raw) => side.reset(side.told[0]!), () => 1],
  ] as const) {
    it(`are counted on ${where}, too: they cost the same`, () => {
      const local = { maxHeaderBytes: 300, maxConcurrentStreams: 1 };
      const raw = rawClient({ local }).send(request(1, 'more'));
      begin(raw);
      for (let i = 0; i < burst; i++) raw.send(far(id(i)));
      assert.deepEqual(cutsOf(raw), []);
      raw.send(far(id(burst)));
      assert.deepEqual(cutsOf(raw), ['header-list']);
    });
  }
});

describe('a rate limit', () => {
  for (const [name, what, frames, { make = rawClient, before = 0 } = {}] of COUNTED) {
    it(`admits ${what} as often as the bucket "${name}" holds, and not once more`, () => {
      const raw = make();
      const { burst } = BUCKETS[name];
      for (let i = before; i < burst; i++) {
        raw.send(...frames(i));
        // Acknowledgements and resets are read, so that only this limit is met.
        if (i % 64 === 0) raw.side.take();
      }
      assert.deepEqual([raw.side.fatal, raw.side.limits.filter((each) => each !== 'header-list')], [[], []]);
      const before0 = raw.side.limits.length;
      raw.send(...frames(burst));
      assert.deepEqual(raw.side.fatal, [{ code: 11, message: name === 'pings' ? 'too_many_pings' : name }]);
      assert.deepEqual(raw.side.limits.slice(before0), [name]);
      const last = raw.frames().at(-1)!;
      assert.deepEqual([last.type, h2.errorCodeOf(last)], [7, 11]);
      raw.send(...frames(burst + 1));
      assert.deepEqual([raw.side.fatal.length, raw.side.take().length], [1, 0]);
    });
  }

  it('keeps the connection of a client that cancels 1,000 calls a second for twenty seconds', () => {
    const raw = rawClient();
    for (let ms = 0; ms < 20_000; ms++) {
      raw.side.nowMs = 1000 + ms;
      raw.send(request(2 * ms + 1), h2.rstStream(2 * ms + 1));
      raw.side.take();
    }
    assert.deepEqual([raw.side.fatal, raw.side.limits, raw.side.told.length], [[], [], 20_000]);
    assert.equal(raw.side.connection.openStreams, 0);
  });
});

describe('a header list of a server that is too long', () => {
  it('is told with what fits and the status, and costs nothing beside its call', () => {
    const raw = rawServer({ local: { maxResponseHeaderBytes: 300 } });
    const beside = raw.side.open(undefined, 'end');
    const failed = Array.from({ length: 400 }, () => {
      const told = raw.side.open(undefined, 'end');
      raw.frames();
      raw.send(response(told.stream.id, 'end', [...LONG, ['grpc-status', '5'], ['z', 'z']]));
      return told;
    });
    assert.deepEqual(new Set(endingsOf(failed)), new Set(['']));
    assert.deepEqual(failed.at(-1)!.headers?.slice(-1), [['grpc-status', '5']]);
    assert.ok(failed.every(({ headers }) => headers?.every(([name]) => name !== 'x' && name !== 'z')));
    raw.send(response(beside.stream.id, 'end'));
    assert.deepEqual([raw.side.fatal, beside.stream.remoteEnded], [[], true]);
    assert.deepEqual(new Set(raw.side.limits), new Set(['header-list']));
  });

  it('is told with one status, however often that is repeated', () => {
    const raw = rawServer({ local: { maxResponseHeaderBytes: 300 } });
    const told = raw.side.open(undefined, 'end');
    raw.frames();
    const again = Buffer.concat(new Array<Buffer>(10_000).fill(indexed(62)));
    raw.send(h2.headers(1, Buffer.concat([encode(RESPONSE), literal('grpc-status', '5', 0x40), again]), 5));
    assert.ok(told.headers!.length < 20, `${told.headers!.length} fields`);
  });

  it('may answer every call, and not come without one', () => {
    const far: readonly Field[] = new Array(500).fill(['x', 'y']);
    const raw = rawServer();
    for (let i = 0; i < 100; i++) {
      const told = raw.side.open(undefined, 'end');
      raw.frames();
      raw.send(response(told.stream.id, 'end', far));
    }
    assert.deepEqual(cutsOf(raw), []);
    const late = raw.side.open(undefined, 'end');
    raw.frames();
    raw.side.reset(late);
    for (let i = 0; i <= BUCKETS['header-list'].burst; i++) raw.send(response(late.stream.id, 'end', far));
    assert.deepEqual(cutsOf(raw), ['header-list']);
  });
});

describe('streams that end before their output is written', () => {
  const opens = (i: number): Buffer => request(2 * i + 1);

  for (const [size, bytes] of [
    ['small', 10],
    ['large', 10_000],
  ] as const) {
    it(`are not kept while the peer does not read, of which it may reset any number, with ${size} answers`, () => {
      const raw = rawClient({
        onStream: (told, side) => {
          side.respond(told);
          side.send(told, Buffer.alloc(bytes), 'end');
        },
      });
      for (let i = 0; i < 1000; i++) raw.send(opens(i), h2.rstStream(2 * i + 1));
      const { connection, state } = raw.side;
      assert.equal(connection.openStreams, 0);
      assert.ok(state.firstSmall === null && state.firstReady === null, 'closed streams are kept');
    });
  }

  it('leave the order of the others as it is, wherever they were', () => {
    for (const gone of [[1], [3], [5], [1, 3], [3, 5], [5, 3], [1, 5], [5, 3, 1]]) {
      const raw = rawClient(ANSWERS_AT_ONCE).send(opens(0), opens(1), opens(2));
      raw.send(...gone.map((id) => h2.rstStream(id)), opens(3));
      const left = [1, 3, 5, 7].filter((id) => !gone.includes(id));
      assert.deepEqual(
        raw.said(),
        left.map((id) => `HEADERS ${id} 200 end`),
      );
    }
  });
});

describe('PINGs of a peer', () => {
  const PAST = 20 * BUCKETS.pings.burst;

  /** Two frames: the header list, and the payload with the end. */
  const answer = (raw: Raw, bytes = 16): void => {
    const call = raw.side.told.at(-1)!;
    raw.side.respond(call);
    raw.side.send(call, Buffer.alloc(bytes), 'end');
    raw.side.take();
    raw.send(h2.windowUpdate(0, bytes));
  };

  /** As grpc-go measures bandwidth: a call, its answer, and a PING for the DATA of it. */
  const callAndPing = (raw: Raw, i: number): void => {
    answer(raw.send(request(odd(i))));
    raw.send(h2.ping()).side.take();
  };

  it('are forgiven one for each frame of a call that we wrote, so that a client may ping once for each response', () => {
    const raw = rawClient();
    for (let i = 0; i < PAST; i++) callAndPing(raw, i);
    assert.deepEqual([raw.side.fatal, raw.side.limits], [[], []]);
  });

  it('are forgiven by a client as well, so that a server may ping once for each request', () => {
    const raw = rawServer();
    for (let i = 0; i < PAST; i++) {
      raw.side.send(raw.side.open(REQUEST, 'more'), Buffer.alloc(16), 'end');
      raw.side.take();
      raw.send(h2.ping(), response(2 * i + 1, 'end'), h2.windowUpdate(0, 16));
      raw.side.take();
    }
    assert.deepEqual([raw.side.fatal, raw.side.limits], [[], []]);
  });

  it('are not forgiven in advance: after any number of calls the burst is the same', () => {
    const raw = rawClient();
    for (let i = 0; i < 1000; i++) answer(raw.send(request(odd(i))));
    for (let i = 0; i < BUCKETS.pings.burst; i++) raw.send(h2.ping()).side.take();
    assert.deepEqual(raw.side.fatal, []);
    assert.deepEqual(raw.send(h2.ping()).side.limits, ['pings']);
  });

  it('are not forgiven for what only the peer sends: streams that are reset, and payload of one byte', () => {
    for (const each of [
      (i: number) => Buffer.concat([opened(i), h2.rstStream(odd(i))]),
      () => h2.data(1, Buffer.alloc(1)),
    ]) {
      const raw = rawClient().send(request(1, 'more'));
      let pings = 0;
      for (; pings < PAST && raw.side.fatal.length === 0; pings++)
        raw.send(each(pings), h2.ping()).side.take();
      assert.deepEqual([pings, raw.side.limits], [BUCKETS.pings.burst + 1, ['pings']]);
    }
  });

  it('are bought with windows of one byte one for one, and as many as WINDOW_UPDATEs are allowed', () => {
    const updates = 100;
    const buckets = { ...BUCKETS, 'window-updates': { burst: updates, perSecond: 1 } };
    const raw = rawClient({ local: { buckets } });
    answer(raw.send(h2.settings([[Setting.initialWindowSize, 0]]), request(1)), 10_000);
    let pings = 0;
    for (; raw.side.fatal.length === 0; pings++) {
      raw.send(h2.windowUpdate(1, 1)).side.take();
      raw.send(h2.ping(), h2.ping()).side.take();
    }
    assert.ok(pings <= updates + 1, `${pings} rounds`);
    assert.deepEqual(raw.side.limits, ['window-updates']);
  });

  it('end the connection when there are more of them than frames we wrote', () => {
    const raw = rawClient();
    let calls = 0;
    for (; calls < PAST && raw.side.fatal.length === 0; calls++) {
      callAndPing(raw, calls);
      raw.send(h2.ping(), h2.ping(), h2.ping(), h2.ping()).side.take();
    }
    assert.ok(calls < BUCKETS.pings.burst, `${calls} calls`);
    assert.deepEqual(raw.side.limits, ['pings']);
  });
});

describe('resets that a client sends', () => {
  const cancel = (raw: Raw, calls: number): void => {
    for (let i = 0; i < calls; i++) {
      const call = raw.side.open(REQUEST, 'more');
      raw.side.take();
      raw.side.reset(call);
      raw.side.take();
    }
  };

  it('exhaust its connection, long before a server ends it', () => {
    const raw = rawServer();
    cancel(raw, RESETS_SENT.burst);
    assert.equal(raw.side.connection.isExhausted, false);
    cancel(raw, 1);
    assert.equal(raw.side.connection.isExhausted, true);
    assert.ok(2 * RESETS_SENT.burst <= 1000 && RESETS_SENT.perSecond < 33, 'what nghttp2 bears');
  });

  it('do not exhaust it when they are few a second, or when the call was never written', () => {
    const raw = rawServer();
    for (let second = 1; second < 300; second++) {
      raw.side.nowMs = 1000 * second;
      raw.send(h2.ping());
      cancel(raw, RESETS_SENT.perSecond);
    }
    for (let i = 0; i < 3000; i++) raw.side.reset(raw.side.open(REQUEST, 'more'));
    assert.equal(raw.side.connection.isExhausted, false);
  });
});

describe('a bucket', () => {
  const bucket: Bucket = { burst: 10, perSecond: 5 };

  it('admits its rate in the long run, and no more', () => {
    const meter = new Meter(bucket);
    let taken = 0;
    for (let ms = 0; ms < 100_000; ms += 10) if (meter.take(ms)) taken++;
    assert.ok(taken >= 500 && taken <= 511, String(taken));
  });

  it('never admits more than twice its burst beyond its rate, whatever the times', () => {
    for (const gap of [0, 1, 50, 199, 200, 201, 1000, 10_000]) {
      const meter = new Meter(bucket);
      let taken = 0;
      let now = 5;
      for (let i = 0; i < 1000; i++) {
        if (meter.take(now)) taken++;
        now += i % 25 === 24 ? gap : 0;
      }
      assert.ok(taken <= 2 * bucket.burst + (now / 1000) * bucket.perSecond, `${gap}: ${taken}`);
      assert.ok(taken >= bucket.burst);
    }
  });

  it('that is full leaks, and admits one more for each that leaked', () => {
    const meter = new Meter(bucket);
    for (let i = 0; i < 10; i++) assert.equal(meter.take(1000), true);
    const taken = [1000, 1200, 1200, 1600, 1600, 1600].map((ms) => meter.take(ms));
    assert.deepEqual(taken, [false, true, false, true, true, false]);
  });

  it('changes with its rate, and the others stay', () => {
    const buckets = bucketsOf({ pings: 20, 'rapid-resets': 4000 });
    assert.deepEqual(buckets.pings, { burst: 100, perSecond: 20 });
    assert.deepEqual(buckets['rapid-resets'], { burst: 10_000, perSecond: 4000 });
    assert.deepEqual(buckets.settings, BUCKETS.settings);
    const raw = rawClient({ local: { buckets } });
    for (let i = 0; i < 100; i++) raw.send(h2.ping());
    assert.deepEqual(raw.side.limits, []);
    assert.deepEqual(raw.send(h2.ping()).side.limits, ['pings']);
  });

  it('has a name in the list of limits', () => {
    for (const name of Object.keys(BUCKETS)) assert.ok((LIMIT_NAMES as readonly string[]).includes(name));
    assert.equal(new Set(LIMIT_NAMES).size, LIMIT_NAMES.length);
  });
});

describe('a header block', () => {
  const block = (frames: number): Buffer[] => {
    const whole = encode(REQUEST);
    const middle = Array.from({ length: frames - 2 }, () => h2.continuation(1, literal('a', '')));
    return [h2.headers(1, whole, 1), ...middle, h2.continuation(1, literal('b', ''), 4)];
  };

  it(`may come in ${BLOCK_FRAMES} frames and no more`, () => {
    const within = rawClient().send(...block(BLOCK_FRAMES));
    assert.deepEqual(within.said(), []);
    assertCut(rawClient().send(...block(BLOCK_FRAMES + 1)), 'header-block-frames');
  });

  it('may be 64 KiB long and no longer, whatever it holds', () => {
    const parts = (bytes: number): Buffer[] => {
      const whole = encode([...REQUEST, ['a', 'b'.repeat(bytes - encode(REQUEST).length - 8)]]);
      assert.ok(Math.abs(whole.length - bytes) <= 2);
      const exact = Buffer.concat([whole, Buffer.alloc(2, 0x88)]).subarray(0, bytes);
      const cut: Buffer[] = [];
      for (let at = 0; at < bytes; at += 16_384) cut.push(exact.subarray(at, at + 16_384));
      return cut.map((part, i) =>
        i === 0 ? h2.headers(1, part, 1) : h2.continuation(1, part, i === cut.length - 1 ? 4 : 0),
      );
    };
    const [within, over] = [-2, 1].map((more) => rawClient().send(...parts(BLOCK_BYTES + more)));
    assert.deepEqual(within!.side.fatal, []);
    assertCut(over!, 'header-block-frames');
  });

  it('may be twice as long as the largest list that is accepted', () => {
    const whole = encode([...REQUEST, ['a', 'b'.repeat(900_000)]]);
    const raw = rawClient({ local: { maxHeaderBytes: 1 << 20 } });
    for (let at = 0; at < whole.length; at += 16_384) {
      const part = whole.subarray(at, at + 16_384);
      const last = at + 16_384 >= whole.length ? 4 : 0;
      raw.send(at === 0 ? h2.headers(1, part, 1) : h2.continuation(1, part, last));
    }
    assert.deepEqual([raw.side.fatal, raw.side.limits, raw.side.told.length], [[], [], 1]);
  });

  it('counts as memory from its first frame until it is whole, or its connection is gone', () => {
    const raw = rawClient();
    const { waiting } = raw.side.connection.state;
    const block = encode(REQUEST);
    raw.send(h2.headers(1, block.subarray(0, 20), 1));
    assert.equal(waiting.bytes, 20);
    raw.send(h2.continuation(1, block.subarray(20, 30)));
    assert.equal(waiting.bytes, 30);
    raw.send(h2.continuation(1, block.subarray(30), 4));
    assert.deepEqual([raw.side.told.length, waiting.bytes], [1, STREAM_BYTES]);
    raw.send(h2.headers(3, encode(REQUEST), 1));
    assert.ok(waiting.bytes > STREAM_BYTES);
    raw.side.connection.abandon();
    assert.equal(waiting.bytes, 0);
  });

  it('that never ends is cut off, with nothing kept of it', () => {
    const raw = rawClient().send(h2.headers(1, encode(REQUEST), 1));
    for (let i = 0; i < 1000; i++) raw.send(h2.continuation(1, Buffer.alloc(1000, 0x88)));
    assertCut(raw, 'header-block-frames');
  });
});

describe('the limit on streams a client may open', () => {
  it('is exact: one more is refused, counted, and harms no other', () => {
    const raw = rawClient({ local: { maxConcurrentStreams: 3 } });
    assert.deepEqual(raw.send(request(1, 'more'), request(3), request(5, 'more')).said(), []);
    raw.send(request(7, 'more'), h2.data(7, Buffer.alloc(10)), request(9));
    assert.deepEqual(raw.said(), ['RST_STREAM 7 REFUSED', 'RST_STREAM 9 REFUSED']);
    assert.deepEqual(raw.side.limits, ['concurrent-streams', 'concurrent-streams']);
    raw.side.respond(raw.side.told[1]!, undefined, 'end');
    assert.deepEqual(raw.said(), ['HEADERS 3 200 end']);
    raw.send(request(11));
    assert.equal(raw.side.told.at(-1)!.stream.id, 11);
  });

  it('counts a stream that the client has reset, and one we answered early, as closed', () => {
    const raw = rawClient({ local: { maxConcurrentStreams: 1 }, ...ANSWERS_AT_ONCE });
    for (let id = 1; id < 200; id += 2) {
      raw.send(request(id, id % 4 === 1 ? 'more' : 'end'));
      assert.equal(raw.frames()[0]!.type, 1);
    }
    for (let id = 201; id < 401; id += 2) raw.send(request(id, 'more'), h2.rstStream(id));
    assert.deepEqual(raw.side.limits, []);
  });
});

describe('control bytes that are not read', () => {
  const settle = (raw: Raw, bytes: number): void => {
    // PING is answered in 17 bytes; the bucket is left out of it by letting time pass.
    while (raw.side.state.control.length + 17 <= bytes) {
      raw.side.nowMs += 1000;
      raw.send(h2.ping());
    }
  };

  it(`may be ${UNREAD_CONTROL_BYTES} and no more`, () => {
    const raw = rawClient();
    settle(raw, UNREAD_CONTROL_BYTES);
    assert.deepEqual(raw.side.fatal, []);
    raw.side.nowMs += 1000;
    raw.send(h2.ping());
    assert.deepEqual([raw.said().at(-1), raw.side.limits], ['GOAWAY 0 CALM', ['unread-output']]);
  });

  it('are freed when they are read', () => {
    const raw = rawClient();
    for (let i = 0; i < 5; i++) {
      settle(raw, UNREAD_CONTROL_BYTES);
      assert.ok(raw.side.take().length > UNREAD_CONTROL_BYTES - 17);
      assert.equal(raw.side.state.control.length, 0);
    }
    assert.deepEqual(raw.side.fatal, []);
  });
});

describe('interim responses', () => {
  const early = h2.headers(1, encode([[':status', '103']]), 4);

  it(`may be ${INFORMATIONAL} to one request and no more`, () => {
    const most = Array.from({ length: INFORMATIONAL }, () => early);
    const raw = withCall().send(...most, response(1, 'end'));
    assert.deepEqual([raw.said(), raw.side.told[0]!.ends], [[], 1]);
    assertCut(withCall().send(...most, early), 'informational');
  });
});
