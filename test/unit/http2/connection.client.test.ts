import assert from 'node:assert/strict';
import { type Raw, rawServer, response, trailers } from '../../kit/http2/connection-under-test.js';
import {
  continuation,
  data,
  frame,
  goaway,
  headers,
  paddedData,
  ping,
  priority,
  pushPromise,
  rstStream,
  Setting,
  settings,
  windowUpdate,
} from '../../kit/http2/h2-frames.js';
import { encode, type Field } from '../../kit/http2/hpack-lite.js';
import type { Told } from '../../kit/http2/recorded-events.js';
import { SPLITS } from '../../kit/http2/splits.js';

const BODY = Buffer.from('hello');
const status = (id: number, code: string, flags = 4, more: readonly Field[] = []): Buffer =>
  headers(id, encode([[':status', code], ...more]), flags);

interface Case {
  readonly what: string;
  /** What the server sends. */
  readonly frames: readonly Buffer[];
  /** What the client says to it. */
  readonly says: readonly string[];
  /** What the owner of stream 1 is told. */
  readonly told?: string;
}

for (const [how, split] of SPLITS) {
  /** A client with one request under way: `end`: the request is complete. */
  const calling = (end: 'end' | 'more' = 'end'): { raw: Raw; told: Told } => {
    const raw = rawServer({}, split);
    const told = raw.side.open(undefined, end);
    raw.frames();
    return { raw, told };
  };
  const run = (cases: readonly Case[], end: 'end' | 'more' = 'end'): void => {
    for (const { what, frames, says, told: ending } of cases) {
      const { raw, told } = calling(end);
      raw.send(...frames);
      assert.deepEqual(raw.said(), says, what);
      assert.equal(told.ending, ending ?? '', what);
      assert.deepEqual(raw.side.defects, [], what);
      // Whoever is told once is never told again.
      raw.side.connection.abandon();
      assert.ok(told.endings.length + told.ends <= 1, what);
    }
  };

  describe(`a client, ${how}`, () => {
    it('receives a response with headers, payload and trailers', () => {
      const { raw, told } = calling();
      raw.send(response(1), data(1, BODY), paddedData(1, BODY, 200), trailers(1));
      assert.deepEqual(told.headers?.[0], [':status', '200']);
      assert.equal(told.body.toString(), 'hellohello');
      assert.deepEqual([told.trailerPairs, told.ends, told.ending], [[['grpc-status', '0']], 1, '']);
      assert.equal(raw.side.connection.openStreams, 0);
      assert.deepEqual(raw.said(), []);
    });

    it('receives a response of trailers only, and one that ends with payload', () => {
      const only = calling();
      only.raw.send(response(1, 'end', [['grpc-status', '5']]));
      assert.deepEqual([only.told.ends, only.told.trailerPairs], [1, null]);
      const bare = calling();
      bare.raw.send(response(1), data(1, BODY, 1));
      assert.deepEqual([bare.told.ends, bare.told.bytes], [1, 5]);
    });

    it('skips interim responses', () => {
      const { raw, told } = calling();
      raw.send(status(1, '100'), status(1, '103', 4, [['link', '</x>']]), response(1), trailers(1));
      assert.deepEqual([told.headers?.[0]?.[1], told.ends], ['200', 1]);
    });

    it('stops its request with NO_ERROR when the response is complete before it', () => {
      const { raw, told } = calling('more');
      raw.side.send(told, BODY);
      raw.send(response(1, 'end'));
      assert.deepEqual(raw.said(), ['RST_STREAM 1 NO_ERROR']);
      raw.side.send(told, BODY, 'end');
      assert.deepEqual(raw.said(), []);
      assert.deepEqual([told.ends, told.ending], [1, '']);
    });

    it('accepts a 304 with the length of a body that it does not have', () => {
      const { raw, told } = calling();
      raw.send(status(1, '304', 5, [['content-length', '99']]));
      assert.deepEqual([raw.said(), told.ends], [[], 1]);
    });
  });

  describe(`a server that misbehaves on a stream, ${how}`, () => {
    const bad = (says: string[], told: string): Pick<Case, 'says' | 'told'> => ({ says, told });
    const protocol = bad(['RST_STREAM 1 PROTOCOL'], 'violation 1');

    it('ends that stream only', () =>
      run([
        { what: 'payload before headers', frames: [data(1, BODY)], ...protocol },
        { what: 'no status', frames: [headers(1, encode([['a', 'b']]))], ...protocol },
        { what: 'two statuses', frames: [status(1, '200', 4, [[':status', '200']])], ...protocol },
        { what: 'a status of two digits', frames: [status(1, '20')], ...protocol },
        { what: 'a status that is no number', frames: [status(1, '2x0')], ...protocol },
        {
          what: 'a request',
          frames: [
            headers(
              1,
              encode([
                [':status', '200'],
                [':path', '/'],
              ]),
            ),
          ],
          ...protocol,
        },
        { what: 'switching protocols', frames: [status(1, '101')], ...protocol },
        { what: 'an informational answer that ends', frames: [status(1, '100', 5)], ...protocol },
        { what: 'trailers that do not end', frames: [response(1), response(1)], ...protocol },
        { what: 'trailers with a status', frames: [response(1), status(1, '200', 5)], ...protocol },
        { what: 'connection headers', frames: [status(1, '200', 4, [['connection', 'close']])], ...protocol },
        {
          what: 'a length and no body',
          frames: [status(1, '200', 5, [['content-length', '1']])],
          ...protocol,
        },
        {
          what: 'more body than it said',
          frames: [response(1, 'more', [['content-length', '4']]), data(1, BODY)],
          ...protocol,
        },
        {
          what: 'less body than it said',
          frames: [response(1, 'more', [['content-length', '6']]), data(1, BODY), trailers(1)],
          ...protocol,
        },
        { what: 'a window of 0 more', frames: [windowUpdate(1, 0)], ...protocol },
        {
          what: 'a window past 2^31',
          frames: [windowUpdate(1, 0x7fffffff)],
          ...bad(['RST_STREAM 1 FLOW_CONTROL'], 'violation 3'),
        },
        { what: 'a dependency on itself', frames: [priority(1, 1)], ...protocol },
        { what: 'RST_STREAM', frames: [rstStream(1, 7)], ...bad([], 'reset 7') },
        { what: 'RST_STREAM twice', frames: [rstStream(1, 8), rstStream(1, 7)], ...bad([], 'reset 8') },
        {
          what: 'payload after RST_STREAM',
          frames: [rstStream(1, 2), data(1, BODY)],
          ...bad(['RST_STREAM 1 STREAM_CLOSED'], 'reset 2'),
        },
      ]));

    it('ends that stream while its request is still being sent, too', () =>
      run(
        [
          { what: 'payload before headers', frames: [data(1, BODY)], ...protocol },
          {
            what: 'payload after the end',
            frames: [response(1, 'end'), data(1, BODY)],
            says: ['RST_STREAM 1 NO_ERROR'],
          },
          {
            what: 'trailers after the end',
            frames: [response(1, 'end'), trailers(1)],
            says: ['RST_STREAM 1 NO_ERROR'],
          },
        ],
        'more',
      ));
  });

  describe(`a server that misbehaves on the connection, ${how}`, () => {
    const over = (code: string, told = 'lost 2'): Pick<Case, 'says' | 'told'> => ({
      says: [`GOAWAY 0 ${code}`],
      told,
    });
    it('ends the whole connection', () =>
      run([
        { what: 'PUSH_PROMISE', frames: [pushPromise(1, 2, encode([[':path', '/']]))], ...over('PROTOCOL') },
        { what: 'headers on a pushed stream', frames: [response(2)], ...over('PROTOCOL') },
        { what: 'payload on a pushed stream', frames: [data(2, BODY)], ...over('PROTOCOL') },
        { what: 'headers on a stream not opened yet', frames: [response(3)], ...over('PROTOCOL') },
        { what: 'payload on a stream not opened yet', frames: [data(3, BODY)], ...over('PROTOCOL') },
        { what: 'RST_STREAM of a stream not opened yet', frames: [rstStream(3)], ...over('PROTOCOL') },
        {
          what: 'WINDOW_UPDATE of a stream not opened yet',
          frames: [windowUpdate(3, 1)],
          ...over('PROTOCOL'),
        },
        {
          what: 'headers that depend on themselves, on a stream not opened yet',
          frames: [headers(3, Buffer.from([0, 0, 0, 3, 0, 0x88]), 0x24)],
          ...over('PROTOCOL'),
        },
        { what: 'bad HPACK', frames: [headers(1, Buffer.from([0x80]))], ...over('COMPRESSION') },
        {
          what: 'bad HPACK in two frames',
          frames: [headers(1, Buffer.from([0x00]), 0), continuation(1, Buffer.from([0x7f]), 4)],
          ...over('COMPRESSION'),
        },
        { what: 'a window past 2^31', frames: [windowUpdate(0, 0x7fffffff)], ...over('FLOW_CONTROL') },
        { what: 'a window of 0 more', frames: [windowUpdate(0, 0)], ...over('PROTOCOL') },
        {
          what: 'a header block that another frame interrupts',
          frames: [headers(1, Buffer.from([0x88]), 0), ping()],
          ...over('PROTOCOL'),
        },
        {
          what: 'a header block that another stream interrupts',
          frames: [headers(1, Buffer.from([0x88]), 0), continuation(3, BODY)],
          ...over('PROTOCOL'),
        },
        { what: 'CONTINUATION of nothing', frames: [continuation(1, BODY)], ...over('PROTOCOL') },
        {
          what: 'SETTINGS that overflow a window',
          frames: [windowUpdate(1, 0x7fffffff - 65_535), settings([[Setting.initialWindowSize, 65_536]])],
          ...over('FLOW_CONTROL'),
        },
        { what: 'GOAWAY on a stream', frames: [frame(7, 0, 1, Buffer.alloc(8))], ...over('PROTOCOL') },
        { what: 'HTTP/1', frames: [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')], ...over('FRAME_SIZE') },
        {
          what: 'payload after the end',
          frames: [response(1, 'end'), data(1, BODY)],
          says: ['GOAWAY 0 STREAM_CLOSED'],
        },
        {
          what: 'headers after the end',
          frames: [response(1, 'end'), trailers(1)],
          says: ['GOAWAY 0 STREAM_CLOSED'],
        },
        {
          what: 'GOAWAY and then bad HPACK',
          frames: [goaway(1), headers(1, Buffer.from([0x80]))],
          ...over('COMPRESSION'),
        },
      ]));
  });
}

describe('the limit on streams', () => {
  const limited = (most: number): Raw => rawServer({}, undefined, [[Setting.maxConcurrentStreams, most]]);
  const paths = (raw: Raw): string[] => raw.said().filter((line) => line.startsWith('HEADERS'));
  const ids = (raw: Raw): number[] => paths(raw).map((line) => Number(line.split(' ')[1]));

  it('of 0 holds every stream back until it is raised, then opens them in order', () => {
    const raw = limited(0);
    const told = [raw.side.open(), raw.side.open(), raw.side.open()];
    assert.deepEqual(paths(raw), []);
    assert.deepEqual([raw.side.connection.capacity, raw.side.connection.openStreams], [-3, 3]);
    raw.send(settings([[Setting.maxConcurrentStreams, 2]]));
    assert.deepEqual(ids(raw), [1, 3]);
    assert.deepEqual(
      told.map((each) => each.stream.id),
      [1, 3, 0],
    );
    raw.send(response(1, 'end'));
    assert.deepEqual(ids(raw), [5]);
    assert.equal(told[2]!.stream.id, 5);
  });

  it('counts streams that wait for their first flush, so that no more are opened than it allows', () => {
    const raw = limited(3);
    assert.equal(raw.side.connection.capacity, 3);
    const first = raw.side.open();
    raw.side.open();
    assert.deepEqual([raw.side.connection.capacity, raw.side.connection.openStreams], [1, 2]);
    raw.side.reset(first);
    assert.deepEqual([raw.side.connection.capacity, raw.side.connection.openStreams], [2, 1]);
    assert.deepEqual(ids(raw), [1]);
    assert.deepEqual([raw.side.connection.capacity, raw.side.connection.openStreams], [2, 1]);
  });

  it('opens a stream once that was given payload while it waited', () => {
    const raw = limited(1);
    raw.side.open();
    const waiting = raw.side.open(undefined, 'more');
    raw.frames();
    for (let i = 0; i < 100; i++) {
      raw.side.send(waiting, BODY);
      raw.frames();
    }
    raw.side.send(waiting, BODY, 'end');
    assert.equal(raw.side.state.unopened.length, 1);
    raw.send(response(1, 'end'));
    assert.deepEqual(raw.said(), ['HEADERS 3 /test.Service/Call', `DATA 3 505 end`]);
    assert.equal(raw.side.connection.openStreams, 1);
    raw.send(goaway(3));
    assert.equal(waiting.ending, '');
    raw.send(response(3, 'end'));
    assert.equal(waiting.ends, 1);
  });

  it('opens a stream once that was ended while it waited, however often', () => {
    const raw = limited(1);
    raw.side.open();
    const waiting = raw.side.open(undefined, 'more');
    raw.frames();
    for (let i = 0; i < 5; i++) {
      raw.side.send(waiting, Buffer.alloc(0), 'end');
      raw.frames();
    }
    assert.equal(raw.side.state.unopened.length, 1);
    raw.send(response(1, 'end'));
    assert.deepEqual(raw.said(), ['HEADERS 3 /test.Service/Call end']);
  });

  it('keeps the order when several end at once and newcomers arrive', () => {
    const raw = limited(3);
    const told = Array.from({ length: 8 }, () => raw.side.open());
    raw.frames();
    raw.send(response(1, 'end'), response(3, 'end'));
    const newcomer = raw.side.open();
    assert.deepEqual(ids(raw), [7, 9]);
    assert.deepEqual(
      told.map((each) => each.stream.id),
      [1, 3, 5, 7, 9, 0, 0, 0],
    );
    raw.send(response(5, 'end'), response(7, 'end'), response(9, 'end'));
    raw.frames();
    assert.deepEqual([told[5]!.stream.id, told[7]!.stream.id, newcomer.stream.id], [11, 15, 0]);
  });

  it('lowered below the number of open streams lets those continue and opens no more', () => {
    const raw = limited(10);
    for (let i = 0; i < 4; i++) raw.side.open();
    raw.frames();
    raw.send(settings([[Setting.maxConcurrentStreams, 1]]));
    raw.side.open();
    assert.deepEqual(paths(raw), []);
    assert.equal(raw.side.connection.capacity, -4);
    raw.send(response(1, 'end'), response(3, 'end'), response(5, 'end'));
    assert.deepEqual(paths(raw), []);
    raw.send(response(7, 'end'));
    assert.deepEqual(ids(raw), [9]);
  });

  it('lowered after a stream was released parks it again, at the front', () => {
    const raw = limited(1);
    raw.side.open();
    const first = raw.side.open();
    const second = raw.side.open();
    raw.frames();
    raw.send(response(1, 'end'), settings([[Setting.maxConcurrentStreams, 0]]));
    assert.deepEqual(paths(raw), []);
    raw.send(settings([[Setting.maxConcurrentStreams, 1]]));
    assert.deepEqual(ids(raw), [3]);
    assert.deepEqual([first.stream.id, second.stream.id], [3, 0]);
  });

  it('drops a waiting stream that is reset', () => {
    const raw = limited(1);
    raw.side.open();
    const gone = Array.from({ length: 50 }, () => raw.side.open());
    const kept = raw.side.open();
    raw.frames();
    for (const each of gone) raw.side.reset(each);
    assert.equal(raw.side.state.unopened.length, 1);
    raw.send(response(1, 'end'));
    raw.frames();
    assert.equal(kept.stream.id, 3);
    assert.deepEqual([...new Set(gone.map((each) => each.ending))], ['']);
  });

  it('ends waiting streams as unprocessed when the connection ends', () => {
    for (const end of ['abandon', 'goaway', 'fail'] as const) {
      const raw = limited(1);
      const open = raw.side.open();
      const waiting = [raw.side.open(), raw.side.open()];
      raw.frames();
      const fresh = raw.side.open();
      if (end === 'abandon') raw.side.connection.abandon();
      else raw.send(end === 'goaway' ? goaway(1) : Buffer.alloc(9));
      raw.frames();
      assert.equal(open.ending, end === 'goaway' ? '' : 'lost 2', end);
      for (const each of [...waiting, fresh]) assert.equal(each.ending, 'unprocessed 7', end);
      assert.equal(raw.side.connection.openStreams, end === 'goaway' ? 1 : 0);
      assert.equal(raw.side.connection.capacity, 0);
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
