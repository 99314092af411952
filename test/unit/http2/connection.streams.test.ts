import assert from 'node:assert/strict';
import { ANSWERS_AT_ONCE, REQUEST, type SideOptions } from '../../kit/http2/connection-pair.js';
import { idsOf, type Raw, rawClient, request, trailers } from '../../kit/http2/connection-under-test.js';
import {
  continuation,
  data,
  frame,
  headers,
  paddedData,
  priority,
  pushPromise,
  rstStream,
  windowUpdate,
} from '../../kit/http2/h2-frames.js';
import { encode, type Field, indexed, literal } from '../../kit/http2/hpack-lite.js';
import { SPLITS } from '../../kit/http2/splits.js';

const BODY = Buffer.from('hello');
const NOTHING = Buffer.alloc(0);

/** What the client has sent before. */
const IDLE: readonly Buffer[] = [];
const OPENED = [request(1, 'more')];
const ASKED = [request(1)];
const RESET = [...OPENED, rstStream(1)];
const SKIPPED = [request(1), request(5)];

/** What may be done to stream 1 after its request, and what the server says, as the RFC has it: a GOAWAY ends the connection. */
type Case = readonly [what: string, frames: readonly Buffer[], says?: string];

for (const [how, split] of SPLITS) {
  const open = (options?: SideOptions): Raw => rawClient(options, split);
  const run = (start: readonly Buffer[], cases: readonly Case[], options?: SideOptions): void => {
    for (const [what, frames, says] of cases) {
      const fresh = open(options).send(...start);
      fresh.frames();
      assert.deepEqual(fresh.send(...frames).said(), says === undefined ? [] : [says], what);
      assert.deepEqual(fresh.side.defects, []);
    }
  };

  describe(`a stream at a server, ${how}`, () => {
    it('receives headers, payload and trailers, and ends once', () => {
      const payload = [data(1, BODY), data(1, NOTHING), paddedData(1, BODY, 9)];
      const raw = open().send(request(1, 'more'), ...payload, trailers(1));
      const [told] = raw.side.told;
      assert.equal(told!.headers?.[2]?.[1], '/test.Service/Call');
      assert.equal(told!.body.toString(), 'hellohello');
      assert.deepEqual([told!.trailerPairs, told!.ends, told!.ending], [[['grpc-status', '0']], 1, '']);
      assert.deepEqual(raw.said(), []);
    });

    it('is idle before HEADERS: nothing else may be sent on it but PRIORITY', () =>
      run(IDLE, [
        ['DATA', [data(1, BODY)], 'GOAWAY 0 PROTOCOL'],
        ['RST_STREAM', [rstStream(1)], 'GOAWAY 0 PROTOCOL'],
        ['WINDOW_UPDATE', [windowUpdate(1, 1)], 'GOAWAY 0 PROTOCOL'],
        ['CONTINUATION', [continuation(1, BODY, 4)], 'GOAWAY 0 PROTOCOL'],
        ['PUSH_PROMISE', [pushPromise(1, 2, BODY)], 'GOAWAY 0 PROTOCOL'],
        ['PRIORITY', [priority(1, 0)]],
        ['PRIORITY on itself', [priority(1, 1)], 'GOAWAY 0 PROTOCOL'],
        ['PRIORITY of 4 bytes', [frame(2, 0, 1, Buffer.alloc(4))], 'GOAWAY 0 FRAME_SIZE'],
        ['an even id', [request(2)], 'GOAWAY 0 PROTOCOL'],
        ['DATA on an even id', [data(2, BODY)], 'GOAWAY 0 PROTOCOL'],
        ['DATA on 0', [data(0, BODY)], 'GOAWAY 0 PROTOCOL'],
        ['HEADERS on 0', [request(0)], 'GOAWAY 0 PROTOCOL'],
        ['PRIORITY on 0', [priority(0, 3)], 'GOAWAY 0 PROTOCOL'],
        ['RST_STREAM on 0', [rstStream(0)], 'GOAWAY 0 PROTOCOL'],
        ['an unknown type', [frame(0xbe, 0xff, 1, BODY)]],
      ]));

    it('is open after HEADERS', () =>
      run(OPENED, [
        ['HEADERS without END_STREAM', [request(1, 'more')], 'RST_STREAM 1 PROTOCOL'],
        ['RST_STREAM of 3 bytes', [frame(3, 0, 1, Buffer.alloc(3))], 'GOAWAY 1 FRAME_SIZE'],
        ['WINDOW_UPDATE of 0', [windowUpdate(1, 0)], 'RST_STREAM 1 PROTOCOL'],
        ['WINDOW_UPDATE of 3 bytes', [frame(8, 0, 1, Buffer.alloc(3))], 'GOAWAY 1 FRAME_SIZE'],
        ['PRIORITY on itself', [priority(1, 1)], 'RST_STREAM 1 PROTOCOL'],
        ['PRIORITY of 6 bytes', [frame(2, 0, 1, Buffer.alloc(6))], 'RST_STREAM 1 FRAME_SIZE'],
        ['CONTINUATION', [continuation(1, BODY, 4)], 'GOAWAY 1 PROTOCOL'],
        ['PUSH_PROMISE', [pushPromise(1, 2, BODY)], 'GOAWAY 1 PROTOCOL'],
        ['padding one byte too long', [frame(0, 8, 1, Buffer.from([3, 1, 2]))], 'GOAWAY 1 PROTOCOL'],
        ['padding longer than DATA', [frame(0, 8, 1, Buffer.from([5, 1, 2]))], 'GOAWAY 1 PROTOCOL'],
        ['padded DATA of nothing', [frame(0, 8, 1)], 'GOAWAY 1 FRAME_SIZE'],
        ['padding and nothing else', [frame(0, 8, 1, Buffer.from([3, 0, 0, 0]))]],
        ['SETTINGS on it', [frame(4, 0, 1)], 'GOAWAY 1 PROTOCOL'],
        ['GOAWAY on it', [frame(7, 0, 1, Buffer.alloc(8))], 'GOAWAY 1 PROTOCOL'],
        ['GOAWAY of 7 bytes', [frame(7, 0, 0, Buffer.alloc(7))], 'GOAWAY 1 FRAME_SIZE'],
        ['trailers with a pseudo-header', [headers(1, encode([[':path', '/']]), 5)], 'RST_STREAM 1 PROTOCOL'],
        ['a frame of 16,385 bytes', [data(1, Buffer.alloc(16_385))], 'GOAWAY 1 FRAME_SIZE'],
        ['a reserved bit in the id', [frame(8, 0, 0x80000001, Buffer.from([0x80, 0, 0, 1]))]],
      ]));

    it('is half-closed after END_STREAM', () =>
      run(ASKED, [
        ['DATA', [data(1, BODY)], 'RST_STREAM 1 STREAM_CLOSED'],
        ['HEADERS', [trailers(1)], 'RST_STREAM 1 STREAM_CLOSED'],
        ['WINDOW_UPDATE', [windowUpdate(1, 9)]],
        ['PRIORITY', [priority(1, 3)]],
      ]));

    it('is closed after both sides have ended: payload and headers end the connection', () => {
      const cases: readonly Case[] = [
        ['DATA', [data(1, BODY)], 'GOAWAY 1 STREAM_CLOSED'],
        ['HEADERS', [trailers(1)], 'GOAWAY 1 STREAM_CLOSED'],
        ['a request', [request(1)], 'GOAWAY 1 STREAM_CLOSED'],
        ['WINDOW_UPDATE', [windowUpdate(1, 9)]],
        ['WINDOW_UPDATE of 0', [windowUpdate(1, 0)]],
        ['RST_STREAM', [rstStream(1)]],
        ['PRIORITY', [priority(1, 3)]],
        ['PRIORITY on itself', [priority(1, 1)]],
      ];
      run(ASKED, cases, ANSWERS_AT_ONCE);
    });

    it('is closed after RST_STREAM: what follows is an error of the stream', () =>
      run(RESET, [
        ['DATA', [data(1, BODY)], 'RST_STREAM 1 STREAM_CLOSED'],
        ['HEADERS', [trailers(1)], 'RST_STREAM 1 STREAM_CLOSED'],
        ['RST_STREAM', [rstStream(1)]],
        ['WINDOW_UPDATE', [windowUpdate(1, 9)]],
        ['DATA twice', [data(1, BODY), data(1, BODY)], 'RST_STREAM 1 STREAM_CLOSED'],
      ]));

    it('that we reset ignores frames that were under way', () => {
      const raw = open().send(request(1, 'more'));
      raw.side.reset(raw.side.told[0]!);
      raw.send(data(1, BODY), windowUpdate(1, 0), trailers(1), rstStream(1), priority(1, 1), request(3));
      assert.deepEqual(raw.said(), ['RST_STREAM 1 CANCEL']);
      assert.equal(raw.side.told.length, 2);
      assert.deepEqual([raw.side.told[0]!.bytes, raw.side.told[0]!.ending], [0, '']);
    });

    it('that was skipped is closed, and cannot be used', () =>
      run(SKIPPED, [
        ['HEADERS', [request(3)], 'GOAWAY 5 PROTOCOL'],
        ['DATA', [data(3, BODY)], 'GOAWAY 5 PROTOCOL'],
        ['RST_STREAM', [rstStream(3)]],
      ]));

    it('answered before the request has ended stops the rest with NO_ERROR (RFC 9113 section 8.1)', () => {
      const raw = open(ANSWERS_AT_ONCE).send(request(1, 'more'));
      assert.deepEqual(raw.said(), ['HEADERS 1 200 end', 'RST_STREAM 1 NO_ERROR']);
      assert.deepEqual(raw.send(data(1, BODY), trailers(1)).said(), []);
      assert.equal(raw.side.told[0]!.ending, '');
    });

    it('answers with headers, payload and trailers in order', () => {
      const raw = open({
        onStream: (told, side) => {
          side.respond(told);
          side.send(told, BODY);
          side.send(told, BODY);
          side.trailers(told);
        },
      });
      raw.send(request(1), request(3));
      const answer = (id: number): string[] => [`HEADERS ${id} 200`, `DATA ${id} 10`, `HEADERS ${id} 0 end`];
      assert.deepEqual(raw.said(), [...answer(1), ...answer(3)]);
      assert.deepEqual([raw.side.told[0]!.sent, raw.side.connection.openStreams], [10, 0]);
    });
  });

  describe(`a request that is malformed, ${how}`, () => {
    const without = (name: string): Buffer => encode(REQUEST.filter(([each]) => each !== name));
    const changed = (changes: Record<string, string>): Buffer =>
      encode(Object.entries({ ...Object.fromEntries(REQUEST), ...changes }));
    const plus = (...more: Field[]): Buffer => encode([...REQUEST, ...more]);
    const behind = (name: string, value: string): Buffer => encode([[name, value], ...REQUEST]);
    for (const [what, block, flags = 5] of [
      ['no method', without(':method')],
      ['no scheme', without(':scheme')],
      ['no path', without(':path')],
      ['an empty path', changed({ ':path': '' })],
      ['two methods', behind(':method', 'GET')],
      ['two paths', behind(':path', '/other')],
      ['two authorities, one empty', behind(':authority', '')],
      ['a status', behind(':status', '200')],
      ['an unknown pseudo-header', behind(':protocol', 'x')],
      ['a pseudo-header behind a regular field', behind('a', 'b')],
      ['an upper-case name', plus(['X-Name', 'v'])],
      ['an empty name', plus(['', 'v'])],
      ['a name with a space', plus(['a b', 'v'])],
      ['a name with a colon', plus(['a:b', 'v'])],
      ['a value with a line feed', plus(['a', 'b\nc'])],
      ['a value with a NUL', plus(['a', 'b\0c'])],
      ['a path with a space around', changed({ ':path': '/a.B/C ' })],
      ['connection', plus(['connection', 'close'])],
      ['transfer-encoding', plus(['transfer-encoding', 'chunked'])],
      ['upgrade', plus(['upgrade', 'h2c'])],
      ['keep-alive', plus(['keep-alive', '1'])],
      ['proxy-connection', plus(['proxy-connection', 'keep-alive'])],
      ['te that is not trailers', changed({ te: 'gzip' })],
      ['a content-length that is no number', plus(['content-length', '1x'])],
      ['two content-lengths that differ', plus(['content-length', '0'], ['content-length', '1'])],
      ['a content-length and no body', plus(['content-length', '1'])],
      [
        'CONNECT with a path',
        encode(Object.entries({ ':method': 'CONNECT', ':authority': 'a', ':path': '/' })),
      ],
      ['nothing at all', Buffer.alloc(0)],
      ['a dependency on itself', Buffer.concat([Buffer.from([0, 0, 0, 1, 0]), encode(REQUEST)]), 0x25],
    ] as const)
      it(`is refused alone: ${what}`, () => {
        const raw = open().send(headers(1, block, flags), request(3));
        assert.deepEqual(raw.said(), ['RST_STREAM 1 PROTOCOL']);
        assert.deepEqual(idsOf(raw.side.told), [3]);
      });

    it('is refused when its body is longer or shorter than its content-length', () => {
      for (const [what, frames] of [
        ['longer', [data(1, BODY)]],
        ['longer in pieces', [data(1, BODY.subarray(0, 4)), data(1, BODY.subarray(0, 1))]],
        ['shorter', [data(1, BODY.subarray(0, 3), 1)]],
        ['shorter before trailers', [data(1, BODY.subarray(0, 3)), trailers(1)]],
      ] as const) {
        const raw = open().send(request(1, 'more', [['content-length', '4']]), ...frames, data(1, BODY, 1));
        assert.deepEqual(raw.said(), ['RST_STREAM 1 PROTOCOL'], what);
        const [told] = raw.side.told;
        assert.deepEqual([told!.ending, told!.ends], ['violation 1', 0], what);
      }
      const raw = open().send(
        request(1, 'more', [['content-length', '5']]),
        data(1, BODY),
        data(1, NOTHING, 1),
      );
      assert.deepEqual([raw.said(), raw.side.told[0]!.ends], [[], 1]);
    });
  });
}

describe('HEADERS that depend on themselves', () => {
  const self = (id: number): Buffer =>
    headers(id, Buffer.concat([Buffer.from([0, 0, 0, id, 0]), encode(REQUEST)]), 0x25);

  it('in several frames are refused when they are whole, and the table stays in step', () => {
    const raw = rawClient();
    const dependency = Buffer.from([0, 0, 0, 1, 0]);
    const block = Buffer.concat([dependency, encode(REQUEST), literal('x-kept', 'in the table', 0x40)]);
    assert.deepEqual(raw.send(headers(1, block.subarray(0, 25), 0x21)).said(), []);
    raw.send(continuation(1, block.subarray(25), 4));
    raw.send(headers(3, Buffer.concat([encode(REQUEST), indexed(62)]), 5));
    assert.deepEqual(raw.said(), ['RST_STREAM 1 PROTOCOL']);
    assert.deepEqual(raw.side.told[0]?.headers?.at(-1), ['x-kept', 'in the table']);
  });

  it('on an even stream end the connection', () => {
    assert.deepEqual(rawClient().send(self(2)).said(), ['GOAWAY 0 PROTOCOL']);
  });

  it('as trailers reset the stream, and its owner gets the ending', () => {
    const raw = rawClient().send(request(1, 'more'), self(1));
    assert.deepEqual(raw.said(), ['RST_STREAM 1 PROTOCOL']);
    assert.equal(raw.side.told[0]!.ending, 'violation 1');
  });
});

for (const [how, split] of SPLITS) {
  describe(`small payload frames in a row, ${how}`, () => {
    const sizes = [1, 2, 3, 4, 5, 7, 8, 100, 1023, 1024, 1025, 3, 0, 6, 105];
    const pieces = sizes.map((size, i) =>
      Buffer.from(Array.from({ length: size }, (_, at) => (i * 37 + at * 11) & 255)),
    );

    it('arrive whole and in order, and so do the frames after them', () => {
      const raw = rawClient({}, split).send(request(1, 'more'), request(3, 'more'));
      const frames = pieces.map((piece) => data(1, piece));
      const after = [paddedData(1, BODY, 3), data(1, BODY, 1), trailers(3)];
      raw.send(...frames, data(3, BODY), data(3, BODY), ...frames, ...after);
      const [first, second] = raw.side.told;
      assert.ok(first!.body.equals(Buffer.concat([...pieces, ...pieces, BODY, BODY])));
      assert.deepEqual([second!.body.toString(), first!.ends, second!.ends], ['hellohello', 1, 1]);
    });

    it('beyond the window reset the stream, after those within it have arrived', () => {
      const raw = rawClient({ local: { initialWindow: 65_535 }, credits: false }, split);
      const frames = Array.from({ length: 66 }, () => data(1, Buffer.alloc(1000)));
      raw.send(request(1, 'more'), ...frames, request(3));
      assert.deepEqual(raw.said(), ['RST_STREAM 1 FLOW_CONTROL']);
      assert.deepEqual([raw.side.told[0]!.bytes, raw.side.told.length], [65_000, 2]);
    });

    it('beyond the content-length reset the stream', () => {
      const raw = rawClient({}, split).send(request(1, 'more', [['content-length', '7']]));
      raw.send(data(1, BODY), data(1, BODY), data(1, BODY), request(3));
      assert.deepEqual(raw.said(), ['RST_STREAM 1 PROTOCOL']);
    });

    it('whose owner resets the stream at the first of them are dropped', () => {
      const raw = rawClient({}, split).send(request(1, 'more'));
      const told = raw.side.told[0]!;
      told.during = () => raw.side.reset(told);
      raw.send(data(1, BODY), data(1, BODY), data(1, BODY, 1), request(3));
      assert.deepEqual([raw.said(), told.ends, raw.side.told.length], [['RST_STREAM 1 CANCEL'], 0, 2]);
    });
  });
}

describe('how a closed stream is remembered', () => {
  it('a long-lived stream that ends does not make a newer one, reset by us, look skipped', () => {
    const raw = rawClient({
      onStream: (told, side) => side.respond(told, undefined, told.stream.id === 1 ? 'more' : 'end'),
    });
    raw.send(request(1, 'more'));
    // Ids 2,048 apart share a place in memory.
    for (let id = 3; id <= 2049; id += 2) raw.send(request(id, 'more')).frames();
    raw.send(rstStream(1)).send(data(2049, BODY), request(2051));
    assert.deepEqual(raw.said(), ['HEADERS 2051 200 end']);
  });

  it('ids no longer remembered count as reset by us, the lenient reading', () => {
    const raw = rawClient(ANSWERS_AT_ONCE);
    for (let id = 1; id <= 4097; id += 2) raw.send(request(id)).frames();
    assert.deepEqual(raw.send(data(1, BODY), trailers(3)).said(), []);
    assert.deepEqual(raw.send(data(4097, BODY)).said(), ['GOAWAY 4097 STREAM_CLOSED']);
  });
});

describe('a connection without an owner for a stream yet', () => {
  it('survives a handler that throws: the defect ends this connection and is reported once', () => {
    const raw = rawClient({ onStream: () => assert.fail('a defect') });
    assert.deepEqual(raw.send(request(1)).said(), ['GOAWAY 1 INTERNAL']);
    assert.equal(raw.side.defects.length, 1);
  });
});
