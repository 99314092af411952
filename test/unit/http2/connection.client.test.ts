import assert from 'node:assert/strict';
import type { End } from '../../kit/http2/connection-pair.js';
import {
  calling,
  endingsOf,
  idsOf,
  type Raw,
  rawServer,
  response,
  trailers,
} from '../../kit/http2/connection-under-test.js';
import * as h2 from '../../kit/http2/h2-frames.js';
import { FrameType, Setting } from '../../kit/http2/h2-frames.js';
import { encode, type Field } from '../../kit/http2/hpack-lite.js';
import type { Told } from '../../kit/http2/recorded-events.js';
import { SPLITS } from '../../kit/http2/splits.js';

const BODY = Buffer.from('hello');
const status = (id: number, code: string, flags = 4, more: readonly Field[] = []): Buffer =>
  h2.headers(id, encode([[':status', code], ...more]), flags);

/** What the server sends, what the client says to it, and what the owner of stream 1 is told. */
type Case = readonly [what: string, frames: readonly Buffer[], says?: string | undefined, told?: string];

for (const [how, split] of SPLITS) {
  /** A client with one request under way: `end`: the request is complete. */
  const started = (end: End = 'end'): { raw: Raw; told: Told } => {
    const { raw, told } = calling([end], { split });
    return { raw, told: told[0]! };
  };
  const run = (cases: readonly Case[], end: End = 'end'): void => {
    for (const [what, frames, says, ending = ''] of cases) {
      const { raw, told } = started(end);
      assert.deepEqual(raw.send(...frames).said(), says === undefined ? [] : [says], what);
      assert.equal(told.ending, ending, what);
      assert.deepEqual(raw.side.defects, [], what);
      // An owner that has had one ending gets no other.
      raw.side.connection.abandon();
      assert.ok(told.endings.length + told.ends <= 1, what);
    }
  };

  describe(`a client, ${how}`, () => {
    it('receives a response with headers, payload and trailers', () => {
      const { raw, told } = started();
      raw.send(response(1), h2.data(1, BODY), h2.paddedData(1, BODY, 200), trailers(1));
      assert.deepEqual(told.headers?.[0], [':status', '200']);
      assert.equal(told.body.toString(), 'hellohello');
      assert.deepEqual([told.trailerPairs, told.ends, told.ending], [[['grpc-status', '0']], 1, '']);
      assert.equal(raw.side.connection.openStreams, 0);
      assert.deepEqual(raw.said(), []);
    });

    it('receives a response of trailers only, and one that ends with payload', () => {
      const only = started();
      only.raw.send(response(1, 'end', [['grpc-status', '5']]));
      assert.deepEqual([only.told.ends, only.told.trailerPairs], [1, null]);
      const bare = started();
      bare.raw.send(response(1), h2.data(1, BODY, 1));
      assert.deepEqual([bare.told.ends, bare.told.bytes], [1, 5]);
    });

    it('skips interim responses', () => {
      const { raw, told } = started();
      raw.send(status(1, '100'), status(1, '103', 4, [['link', '</x>']]), response(1), trailers(1));
      assert.deepEqual([told.headers?.[0]?.[1], told.ends], ['200', 1]);
    });

    it('stops its request with NO_ERROR when the response is complete before it', () => {
      const { raw, told } = started('more');
      raw.side.send(told, BODY);
      assert.deepEqual(raw.send(response(1, 'end')).said(), ['RST_STREAM 1 NO_ERROR']);
      raw.side.send(told, BODY, 'end');
      assert.deepEqual(raw.said(), []);
      assert.deepEqual([told.ends, told.ending], [1, '']);
    });

    it('accepts a 304 with the length of a body that it does not have', () => {
      const { raw, told } = started();
      raw.send(status(1, '304', 5, [['content-length', '99']]));
      assert.deepEqual([raw.said(), told.ends], [[], 1]);
    });
  });

  describe(`a server that misbehaves on a stream, ${how}`, () => {
    const protocol = ['RST_STREAM 1 PROTOCOL', 'violation 1'] as const;
    const length = (bytes: number): readonly Field[] => [['content-length', `${bytes}`]];

    it('ends that stream only', () =>
      run([
        ['payload before headers', [h2.data(1, BODY)], ...protocol],
        ['no status', [h2.headers(1, encode([['a', 'b']]))], ...protocol],
        ['two statuses', [status(1, '200', 4, [[':status', '200']])], ...protocol],
        ['a status of two digits', [status(1, '20')], ...protocol],
        ['a status that is no number', [status(1, '2x0')], ...protocol],
        ['a request', [status(1, '200', 4, [[':path', '/']])], ...protocol],
        ['switching protocols', [status(1, '101')], ...protocol],
        ['an informational answer that ends', [status(1, '100', 5)], ...protocol],
        ['trailers that do not end', [response(1), response(1)], ...protocol],
        ['trailers with a status', [response(1), status(1, '200', 5)], ...protocol],
        ['connection headers', [status(1, '200', 4, [['connection', 'close']])], ...protocol],
        ['a length and no body', [status(1, '200', 5, length(1))], ...protocol],
        ['more body than it said', [response(1, 'more', length(4)), h2.data(1, BODY)], ...protocol],
        [
          'less body than it said',
          [response(1, 'more', length(6)), h2.data(1, BODY), trailers(1)],
          ...protocol,
        ],
        ['a window of 0 more', [h2.windowUpdate(1, 0)], ...protocol],
        ['a window past 2^31', [h2.windowUpdate(1, 0x7fffffff)], 'RST_STREAM 1 FLOW_CONTROL', 'violation 3'],
        ['a dependency on itself', [h2.priority(1, 1)], ...protocol],
        ['RST_STREAM', [h2.rstStream(1, 7)], undefined, 'reset 7'],
        ['RST_STREAM twice', [h2.rstStream(1, 8), h2.rstStream(1, 7)], undefined, 'reset 8'],
        [
          'payload after RST_STREAM',
          [h2.rstStream(1, 2), h2.data(1, BODY)],
          'RST_STREAM 1 STREAM_CLOSED',
          'reset 2',
        ],
      ]));

    it('ends that stream while its request is still being sent, too', () => {
      const cases: readonly Case[] = [
        ['payload before headers', [h2.data(1, BODY)], ...protocol],
        ['payload after the end', [response(1, 'end'), h2.data(1, BODY)], 'RST_STREAM 1 NO_ERROR'],
        ['trailers after the end', [response(1, 'end'), trailers(1)], 'RST_STREAM 1 NO_ERROR'],
      ];
      run(cases, 'more');
    });
  });

  describe(`a server that misbehaves on the connection, ${how}`, () => {
    const over = (code: string) => [`GOAWAY 0 ${code}`, 'lost 2'] as const;
    const protocol = over('PROTOCOL');
    const compression = over('COMPRESSION');
    const flowControl = over('FLOW_CONTROL');
    const badHpack = h2.headers(1, Buffer.from([0x80]));
    const badInTwo = [h2.headers(1, Buffer.from([0x00]), 0), h2.continuation(1, Buffer.from([0x7f]), 4)];
    const selfDependent = h2.headers(3, Buffer.from([0, 0, 0, 3, 0, 0x88]), 0x24);
    const begun = h2.headers(1, Buffer.from([0x88]), 0);
    const overflow = [
      h2.windowUpdate(1, 0x7fffffff - 65_535),
      h2.settings([[Setting.initialWindowSize, 65_536]]),
    ];
    it('ends the whole connection', () =>
      run([
        ['PUSH_PROMISE', [h2.pushPromise(1, 2, encode([[':path', '/']]))], ...protocol],
        ['headers on a pushed stream', [response(2)], ...protocol],
        ['payload on a pushed stream', [h2.data(2, BODY)], ...protocol],
        ['headers on a stream not opened yet', [response(3)], ...protocol],
        ['payload on a stream not opened yet', [h2.data(3, BODY)], ...protocol],
        ['RST_STREAM of a stream not opened yet', [h2.rstStream(3)], ...protocol],
        ['WINDOW_UPDATE of a stream not opened yet', [h2.windowUpdate(3, 1)], ...protocol],
        ['headers that depend on themselves, on a stream not opened yet', [selfDependent], ...protocol],
        ['bad HPACK', [badHpack], ...compression],
        ['bad HPACK in two frames', badInTwo, ...compression],
        ['a window past 2^31', [h2.windowUpdate(0, 0x7fffffff)], ...flowControl],
        ['a window of 0 more', [h2.windowUpdate(0, 0)], ...protocol],
        ['a header block that another frame interrupts', [begun, h2.ping()], ...protocol],
        ['a header block that another stream interrupts', [begun, h2.continuation(3, BODY)], ...protocol],
        ['CONTINUATION of nothing', [h2.continuation(1, BODY)], ...protocol],
        ['SETTINGS that overflow a window', overflow, ...flowControl],
        ['GOAWAY on a stream', [h2.frame(7, 0, 1, Buffer.alloc(8))], ...protocol],
        ['HTTP/1', [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')], ...over('FRAME_SIZE')],
        ['payload after the end', [response(1, 'end'), h2.data(1, BODY)], 'GOAWAY 0 STREAM_CLOSED'],
        ['headers after the end', [response(1, 'end'), trailers(1)], 'GOAWAY 0 STREAM_CLOSED'],
        ['GOAWAY and then bad HPACK', [h2.goaway(1), badHpack], ...compression],
      ]));
  });
}

describe('the limit on streams', () => {
  const MOST = Setting.maxConcurrentStreams;
  /** A client with so many requests opened, of which the server allows `most` at once. */
  const limited = (most: number, opened = 0): { raw: Raw; told: Told[] } =>
    calling(new Array<End>(opened).fill('end'), { values: [[MOST, most]] });
  /** Ids of the streams that have been opened since the last look. */
  const ids = (raw: Raw): number[] =>
    raw.frames().flatMap(({ type, streamId }) => (type === FrameType.headers ? [streamId] : []));
  const figures = ({ side: { connection } }: Raw): number[] => [connection.capacity, connection.openStreams];

  it('of 0 holds every stream back until it is raised, then opens them in order', () => {
    const { raw } = limited(0);
    const told = [raw.side.open(), raw.side.open(), raw.side.open()];
    assert.deepEqual(ids(raw), []);
    assert.deepEqual(figures(raw), [-3, 3]);
    assert.deepEqual(ids(raw.send(h2.settings([[MOST, 2]]))), [1, 3]);
    assert.deepEqual(idsOf(told), [1, 3, 0]);
    assert.deepEqual(ids(raw.send(response(1, 'end'))), [5]);
    assert.equal(told[2]!.stream.id, 5);
  });

  it('counts streams that wait for their first flush, so that no more are opened than it allows', () => {
    const { raw } = limited(3);
    assert.equal(raw.side.connection.capacity, 3);
    const first = raw.side.open();
    raw.side.open();
    assert.deepEqual(figures(raw), [1, 2]);
    raw.side.reset(first);
    assert.deepEqual(figures(raw), [2, 1]);
    assert.deepEqual(ids(raw), [1]);
    assert.deepEqual(figures(raw), [2, 1]);
  });

  it('opens a stream once that was given payload while it waited', () => {
    const { raw } = limited(1, 1);
    const waiting = raw.side.open(undefined, 'more');
    raw.frames();
    for (let i = 0; i < 100; i++) {
      raw.side.send(waiting, BODY);
      raw.frames();
    }
    raw.side.send(waiting, BODY, 'end');
    assert.equal(raw.side.state.unopened.length, 1);
    assert.deepEqual(raw.send(response(1, 'end')).said(), ['HEADERS 3 /test.Service/Call', `DATA 3 505 end`]);
    assert.equal(raw.side.connection.openStreams, 1);
    raw.send(h2.goaway(3));
    assert.equal(waiting.ending, '');
    raw.send(response(3, 'end'));
    assert.equal(waiting.ends, 1);
  });

  it('opens a stream once that was ended while it waited, however often', () => {
    const { raw } = limited(1, 1);
    const waiting = raw.side.open(undefined, 'more');
    raw.frames();
    for (let i = 0; i < 5; i++) {
      raw.side.send(waiting, Buffer.alloc(0), 'end');
      raw.frames();
    }
    assert.equal(raw.side.state.unopened.length, 1);
    assert.deepEqual(raw.send(response(1, 'end')).said(), ['HEADERS 3 /test.Service/Call end']);
  });

  it('keeps the order when several end at once and newcomers arrive', () => {
    const { raw, told } = limited(3, 8);
    raw.send(response(1, 'end'), response(3, 'end'));
    const newcomer = raw.side.open();
    assert.deepEqual(ids(raw), [7, 9]);
    assert.deepEqual(idsOf(told), [1, 3, 5, 7, 9, 0, 0, 0]);
    raw.send(response(5, 'end'), response(7, 'end'), response(9, 'end')).frames();
    assert.deepEqual(idsOf([told[5]!, told[7]!, newcomer]), [11, 15, 0]);
  });

  it('lowered below the number of open streams lets those continue and opens no more', () => {
    const { raw } = limited(10, 4);
    raw.send(h2.settings([[MOST, 1]]));
    raw.side.open();
    assert.deepEqual(ids(raw), []);
    assert.equal(raw.side.connection.capacity, -4);
    assert.deepEqual(ids(raw.send(response(1, 'end'), response(3, 'end'), response(5, 'end'))), []);
    assert.deepEqual(ids(raw.send(response(7, 'end'))), [9]);
  });

  it('lowered after a stream was released parks it again, at the front', () => {
    const { raw, told } = limited(1, 3);
    assert.deepEqual(ids(raw.send(response(1, 'end'), h2.settings([[MOST, 0]]))), []);
    assert.deepEqual(ids(raw.send(h2.settings([[MOST, 1]]))), [3]);
    assert.deepEqual(idsOf(told), [1, 3, 0]);
  });

  it('drops a waiting stream that is reset', () => {
    const { raw, told } = limited(1, 52);
    const [gone, kept] = [told.slice(1, 51), told[51]!];
    for (const each of gone) raw.side.reset(each);
    assert.equal(raw.side.state.unopened.length, 1);
    raw.send(response(1, 'end')).frames();
    assert.equal(kept.stream.id, 3);
    assert.deepEqual([...new Set(endingsOf(gone))], ['']);
  });

  it('ends waiting streams as unprocessed when the connection ends', () => {
    for (const end of ['abandon', 'goaway', 'fail'] as const) {
      const { raw, told } = limited(1, 3);
      const fresh = raw.side.open();
      if (end === 'abandon') raw.side.connection.abandon();
      else raw.send(end === 'goaway' ? h2.goaway(1) : Buffer.alloc(9));
      raw.frames();
      const [open, ...others] = endingsOf([...told, fresh]);
      assert.equal(open, end === 'goaway' ? '' : 'lost 2', end);
      assert.deepEqual([...new Set(others)], ['unprocessed 7'], end);
      assert.deepEqual(figures(raw), [0, end === 'goaway' ? 1 : 0]);
    }
  });
});

describe('stream ids', () => {
  it('run out: the last one is used, and the next stream ends as unprocessed', () => {
    const raw = rawServer();
    raw.side.state.nextId = 0x7fffffff;
    assert.equal(raw.side.connection.isExhausted, true);
    const last = raw.side.open();
    const none = raw.side.open();
    assert.deepEqual(raw.said(), ['HEADERS 2147483647 /test.Service/Call end']);
    assert.deepEqual([last.ending, none.ending], ['', 'unprocessed 7']);
    raw.send(response(0x7fffffff, 'end'));
    assert.equal(last.ends, 1);
  });

  it('are not assigned on a connection that is over', () => {
    const raw = rawServer();
    raw.side.connection.abandon();
    const late = raw.side.open();
    assert.deepEqual(raw.said(), []);
    assert.deepEqual([late.ending, raw.side.connection.openStreams], ['unprocessed 7', 0]);
  });
});
