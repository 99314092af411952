import assert from 'node:assert/strict';
import { REQUEST, Side, type SideOptions } from '../../kit/http2/connection-pair.js';
import { type Raw, rawClient, request, trailers } from '../../kit/http2/connection-under-test.js';
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
import { encode, literal } from '../../kit/http2/hpack-lite.js';
import { SPLITS } from '../../kit/http2/splits.js';

const BODY = Buffer.from('hello');
const answerAtOnce: SideOptions = { onStream: (told, side) => side.respond(told, undefined, 'end') };

/** What may be done to stream 1 after its request, and what the RFC says of each. */
interface Case {
  readonly what: string;
  readonly frames: readonly Buffer[];
  /** What the server says; a GOAWAY is the end of the connection. */
  readonly says: readonly string[];
}

for (const [how, split] of SPLITS) {
  const open = (options?: SideOptions): Raw => rawClient(options, split);
  const run = (cases: readonly Case[], start: (raw: Raw) => void): void => {
    for (const { what, frames, says } of cases) {
      const fresh = open();
      start(fresh);
      fresh.frames();
      fresh.send(...frames);
      assert.deepEqual(fresh.said(), says, what);
      assert.deepEqual(fresh.side.defects, []);
    }
  };

  describe(`a stream at a server, ${how}`, () => {
    it('receives headers, payload and trailers, and ends once', () => {
      const raw = open();
      raw.send(
        request(1, 'more'),
        data(1, BODY),
        data(1, Buffer.alloc(0)),
        paddedData(1, BODY, 9),
        trailers(1),
      );
      const [told] = raw.side.told;
      assert.equal(told!.headers?.[2]?.[1], '/test.Service/Call');
      assert.equal(told!.body.toString(), 'hellohello');
      assert.deepEqual(told!.trailerPairs, [['grpc-status', '0']]);
      assert.deepEqual([told!.ends, told!.ending], [1, '']);
      assert.deepEqual(raw.said(), []);
    });

    it('is idle before HEADERS: nothing else may be sent on it but PRIORITY', () => {
      run(
        [
          { what: 'DATA', frames: [data(1, BODY)], says: ['GOAWAY 0 PROTOCOL'] },
          { what: 'RST_STREAM', frames: [rstStream(1)], says: ['GOAWAY 0 PROTOCOL'] },
          { what: 'WINDOW_UPDATE', frames: [windowUpdate(1, 1)], says: ['GOAWAY 0 PROTOCOL'] },
          { what: 'CONTINUATION', frames: [continuation(1, BODY, 4)], says: ['GOAWAY 0 PROTOCOL'] },
          { what: 'PUSH_PROMISE', frames: [pushPromise(1, 2, BODY)], says: ['GOAWAY 0 PROTOCOL'] },
          { what: 'PRIORITY', frames: [priority(1, 0)], says: [] },
          { what: 'PRIORITY on itself', frames: [priority(1, 1)], says: ['GOAWAY 0 PROTOCOL'] },
          {
            what: 'PRIORITY of 4 octets',
            frames: [frame(2, 0, 1, Buffer.alloc(4))],
            says: ['GOAWAY 0 FRAME_SIZE'],
          },
          { what: 'an even id', frames: [request(2)], says: ['GOAWAY 0 PROTOCOL'] },
          { what: 'DATA on an even id', frames: [data(2, BODY)], says: ['GOAWAY 0 PROTOCOL'] },
          { what: 'DATA on 0', frames: [data(0, BODY)], says: ['GOAWAY 0 PROTOCOL'] },
          { what: 'HEADERS on 0', frames: [request(0)], says: ['GOAWAY 0 PROTOCOL'] },
          { what: 'PRIORITY on 0', frames: [priority(0, 3)], says: ['GOAWAY 0 PROTOCOL'] },
          { what: 'RST_STREAM on 0', frames: [rstStream(0)], says: ['GOAWAY 0 PROTOCOL'] },
          { what: 'an unknown type', frames: [frame(0xbe, 0xff, 1, BODY)], says: [] },
        ],
        () => {},
      );
    });

    it('is open after HEADERS', () => {
      run(
        [
          {
            what: 'HEADERS without END_STREAM',
            frames: [request(1, 'more')],
            says: ['RST_STREAM 1 PROTOCOL'],
          },
          {
            what: 'RST_STREAM of 3 octets',
            frames: [frame(3, 0, 1, Buffer.alloc(3))],
            says: ['GOAWAY 1 FRAME_SIZE'],
          },
          { what: 'WINDOW_UPDATE of 0', frames: [windowUpdate(1, 0)], says: ['RST_STREAM 1 PROTOCOL'] },
          {
            what: 'WINDOW_UPDATE of 3 octets',
            frames: [frame(8, 0, 1, Buffer.alloc(3))],
            says: ['GOAWAY 1 FRAME_SIZE'],
          },
          { what: 'PRIORITY on itself', frames: [priority(1, 1)], says: ['RST_STREAM 1 PROTOCOL'] },
          {
            what: 'PRIORITY of 6 octets',
            frames: [frame(2, 0, 1, Buffer.alloc(6))],
            says: ['RST_STREAM 1 FRAME_SIZE'],
          },
          { what: 'CONTINUATION', frames: [continuation(1, BODY, 4)], says: ['GOAWAY 1 PROTOCOL'] },
          { what: 'PUSH_PROMISE', frames: [pushPromise(1, 2, BODY)], says: ['GOAWAY 1 PROTOCOL'] },
          {
            what: 'padding one octet too long',
            frames: [frame(0, 8, 1, Buffer.from([3, 1, 2]))],
            says: ['GOAWAY 1 PROTOCOL'],
          },
          {
            what: 'padding longer than DATA',
            frames: [frame(0, 8, 1, Buffer.from([5, 1, 2]))],
            says: ['GOAWAY 1 PROTOCOL'],
          },
          { what: 'padded DATA of nothing', frames: [frame(0, 8, 1)], says: ['GOAWAY 1 FRAME_SIZE'] },
          { what: 'padding and nothing else', frames: [frame(0, 8, 1, Buffer.from([3, 0, 0, 0]))], says: [] },
          { what: 'SETTINGS on it', frames: [frame(4, 0, 1)], says: ['GOAWAY 1 PROTOCOL'] },
          { what: 'GOAWAY on it', frames: [frame(7, 0, 1, Buffer.alloc(8))], says: ['GOAWAY 1 PROTOCOL'] },
          {
            what: 'GOAWAY of 7 octets',
            frames: [frame(7, 0, 0, Buffer.alloc(7))],
            says: ['GOAWAY 1 FRAME_SIZE'],
          },
          {
            what: 'trailers with a pseudo-header',
            frames: [headers(1, encode([[':path', '/']]), 5)],
            says: ['RST_STREAM 1 PROTOCOL'],
          },
          {
            what: 'a frame of 16,385 octets',
            frames: [data(1, Buffer.alloc(16_385))],
            says: ['GOAWAY 1 FRAME_SIZE'],
          },
          {
            what: 'a reserved bit in the id',
            frames: [frame(8, 0, 0x80000001, Buffer.from([0x80, 0, 0, 1]))],
            says: [],
          },
        ],
        (raw) => raw.send(request(1, 'more')),
      );
    });

    it('is half-closed after END_STREAM', () => {
      run(
        [
          { what: 'DATA', frames: [data(1, BODY)], says: ['RST_STREAM 1 STREAM_CLOSED'] },
          { what: 'HEADERS', frames: [trailers(1)], says: ['RST_STREAM 1 STREAM_CLOSED'] },
          { what: 'WINDOW_UPDATE', frames: [windowUpdate(1, 9)], says: [] },
          { what: 'PRIORITY', frames: [priority(1, 3)], says: [] },
        ],
        (raw) => raw.send(request(1)),
      );
    });

    it('is closed after both sides have ended: payload and headers end the connection', () => {
      const cases: Case[] = [
        { what: 'DATA', frames: [data(1, BODY)], says: ['GOAWAY 1 STREAM_CLOSED'] },
        { what: 'HEADERS', frames: [trailers(1)], says: ['GOAWAY 1 STREAM_CLOSED'] },
        { what: 'a request', frames: [request(1)], says: ['GOAWAY 1 STREAM_CLOSED'] },
        { what: 'WINDOW_UPDATE', frames: [windowUpdate(1, 9)], says: [] },
        { what: 'WINDOW_UPDATE of 0', frames: [windowUpdate(1, 0)], says: [] },
        { what: 'RST_STREAM', frames: [rstStream(1)], says: [] },
        { what: 'PRIORITY', frames: [priority(1, 3)], says: [] },
        { what: 'PRIORITY on itself', frames: [priority(1, 1)], says: [] },
      ];
      for (const { what, frames, says } of cases) {
        const raw = open(answerAtOnce).send(request(1));
        raw.frames();
        assert.deepEqual(raw.send(...frames).said(), says, what);
      }
    });

    it('is closed after RST_STREAM: what follows is an error of the stream', () => {
      run(
        [
          { what: 'DATA', frames: [data(1, BODY)], says: ['RST_STREAM 1 STREAM_CLOSED'] },
          { what: 'HEADERS', frames: [trailers(1)], says: ['RST_STREAM 1 STREAM_CLOSED'] },
          { what: 'RST_STREAM', frames: [rstStream(1)], says: [] },
          { what: 'WINDOW_UPDATE', frames: [windowUpdate(1, 9)], says: [] },
          {
            what: 'DATA twice',
            frames: [data(1, BODY), data(1, BODY)],
            says: ['RST_STREAM 1 STREAM_CLOSED'],
          },
        ],
        (raw) => raw.send(request(1, 'more'), rstStream(1)),
      );
    });

    it('that we reset ignores frames that were under way', () => {
      const raw = open().send(request(1, 'more'));
      raw.side.reset(raw.side.told[0]!);
      raw.send(data(1, BODY), windowUpdate(1, 0), trailers(1), rstStream(1), priority(1, 1), request(3));
      assert.deepEqual(raw.said(), ['RST_STREAM 1 CANCEL']);
      assert.equal(raw.side.told.length, 2);
      assert.deepEqual([raw.side.told[0]!.bytes, raw.side.told[0]!.ending], [0, '']);
    });

    it('that was skipped is closed, and cannot be used', () => {
      run(
        [
          { what: 'HEADERS', frames: [request(3)], says: ['GOAWAY 5 PROTOCOL'] },
          { what: 'DATA', frames: [data(3, BODY)], says: ['GOAWAY 5 PROTOCOL'] },
          { what: 'RST_STREAM', frames: [rstStream(3)], says: [] },
        ],
        (raw) => raw.send(request(1), request(5)),
      );
    });

    it('answered before the request has ended stops the rest with NO_ERROR (RFC 9113 section 8.1)', () => {
      const raw = open(answerAtOnce);
      raw.send(request(1, 'more'));
      assert.deepEqual(raw.said(), ['HEADERS 1 200 end', 'RST_STREAM 1 NO_ERROR']);
      raw.send(data(1, BODY), trailers(1));
      assert.deepEqual(raw.said(), []);
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
      assert.deepEqual(raw.said(), [
        ...['HEADERS 1 200', 'DATA 1 10', 'HEADERS 1 0 end'],
        ...['HEADERS 3 200', 'DATA 3 10', 'HEADERS 3 0 end'],
      ]);
      assert.equal(raw.side.told[0]!.sent, 10);
      assert.equal(raw.side.connection.openStreams, 0);
    });
  });

  describe(`a request that is malformed, ${how}`, () => {
    const without = (name: string): Buffer => encode(REQUEST.filter(([each]) => each !== name));
    const plus = (...more: [string, string][]): Buffer => encode([...REQUEST, ...more]);
    const cases: [string, Buffer][] = [
      ['no method', without(':method')],
      ['no scheme', without(':scheme')],
      ['no path', without(':path')],
      ['an empty path', encode(REQUEST.map(([name, value]) => [name, name === ':path' ? '' : value]))],
      ['two methods', Buffer.concat([literal(':method', 'GET'), encode(REQUEST)])],
      ['two paths', Buffer.concat([literal(':path', '/other'), encode(REQUEST)])],
      ['two authorities, one empty', Buffer.concat([literal(':authority', ''), encode(REQUEST)])],
      ['a status', Buffer.concat([literal(':status', '200'), encode(REQUEST)])],
      ['an unknown pseudo-header', Buffer.concat([literal(':protocol', 'x'), encode(REQUEST)])],
      ['a pseudo-header behind a regular field', Buffer.concat([literal('a', 'b'), encode(REQUEST)])],
      ['an upper-case name', plus(['X-Name', 'v'])],
      ['an empty name', plus(['', 'v'])],
      ['a name with a space', plus(['a b', 'v'])],
      ['a name with a colon', plus(['a:b', 'v'])],
      ['a value with a line feed', plus(['a', 'b\nc'])],
      ['a value with a NUL', plus(['a', 'b\0c'])],
      ['a value with a space around', plus(['a', ' b'])],
      ['connection', plus(['connection', 'close'])],
      ['transfer-encoding', plus(['transfer-encoding', 'chunked'])],
      ['upgrade', plus(['upgrade', 'h2c'])],
      ['keep-alive', plus(['keep-alive', '1'])],
      ['proxy-connection', plus(['proxy-connection', 'keep-alive'])],
      [
        'te that is not trailers',
        encode(REQUEST.map(([name, value]) => [name, name === 'te' ? 'gzip' : value])),
      ],
      ['a content-length that is no number', plus(['content-length', '1x'])],
      ['two content-lengths that differ', plus(['content-length', '0'], ['content-length', '1'])],
      ['a content-length and no body', plus(['content-length', '1'])],
      [
        'CONNECT with a path',
        encode([
          [':method', 'CONNECT'],
          [':authority', 'a'],
          [':path', '/'],
        ]),
      ],
      ['nothing at all', Buffer.alloc(0)],
      ['a dependency on itself', Buffer.concat([Buffer.from([0, 0, 0, 1, 0]), encode(REQUEST)])],
    ];
    for (const [what, block] of cases) {
      it(`is refused alone: ${what}`, () => {
        const raw = open();
        const flags = what === 'a dependency on itself' ? 0x25 : 5;
        raw.send(headers(1, block, flags), request(3));
        assert.deepEqual(raw.said(), ['RST_STREAM 1 PROTOCOL']);
        assert.deepEqual(
          raw.side.told.map((told) => told.stream.id),
          [3],
        );
      });
    }

    it('is refused when its body is longer or shorter than its content-length', () => {
      const said: [string, Buffer[]][] = [
        ['longer', [data(1, BODY)]],
        ['longer in pieces', [data(1, BODY.subarray(0, 4)), data(1, BODY.subarray(0, 1))]],
        ['shorter', [data(1, BODY.subarray(0, 3), 1)]],
        ['shorter before trailers', [data(1, BODY.subarray(0, 3)), trailers(1)]],
      ];
      for (const [what, frames] of said) {
        const raw = open().send(request(1, 'more', [['content-length', '4']]), ...frames, data(1, BODY, 1));
        assert.deepEqual(raw.said(), ['RST_STREAM 1 PROTOCOL'], what);
        assert.equal(raw.side.told[0]!.ending, 'violation 1', what);
        assert.equal(raw.side.told[0]!.ends, 0, what);
      }
      const raw = open().send(
        request(1, 'more', [['content-length', '5']]),
        data(1, BODY),
        data(1, Buffer.alloc(0), 1),
      );
      assert.deepEqual(raw.said(), []);
      assert.equal(raw.side.told[0]!.ends, 1);
    });
  });
}

describe('HEADERS that depend on themselves', () => {
  const self = (id: number, flags: number): Buffer => {
    const dependency = Buffer.alloc(5);
    dependency.writeUInt32BE(id);
    return headers(id, Buffer.concat([dependency, encode(REQUEST)]), flags | 0x20);
  };

  it('in several frames are refused when they are whole, and the table stays in step', () => {
    const raw = rawClient();
    const dependency = Buffer.from([0, 0, 0, 1, 0]);
    const block = Buffer.concat([encode(REQUEST), literal('x-kept', 'in the table', 0x40)]);
    raw.send(headers(1, Buffer.concat([dependency, block.subarray(0, 20)]), 0x21));
    assert.deepEqual(raw.said(), []);
    raw.send(continuation(1, block.subarray(20), 4));
    raw.send(headers(3, Buffer.concat([encode(REQUEST), Buffer.from([0xbe])]), 5));
    assert.deepEqual(raw.said(), ['RST_STREAM 1 PROTOCOL']);
    assert.deepEqual(raw.side.told[0]?.headers?.at(-1), ['x-kept', 'in the table']);
  });

  it('on an even stream end the connection', () => {
    assert.deepEqual(rawClient().send(self(2, 5)).said(), ['GOAWAY 0 PROTOCOL']);
  });

  it('as trailers reset the stream, and its owner gets the ending', () => {
    const raw = rawClient().send(request(1, 'more'), self(1, 5));
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
      const raw = rawClient({}, split);
      raw.send(request(1, 'more'), request(3, 'more'));
      const frames = pieces.map((piece) => data(1, piece));
      raw.send(
        ...frames,
        data(3, BODY),
        data(3, BODY),
        ...frames,
        paddedData(1, BODY, 3),
        data(1, BODY, 1),
        trailers(3),
      );
      const [first, second] = raw.side.told;
      assert.ok(first!.body.equals(Buffer.concat([...pieces, ...pieces, BODY, BODY])));
      assert.deepEqual([second!.body.toString(), first!.ends, second!.ends], ['hellohello', 1, 1]);
    });

    it('beyond the window reset the stream, after those within it have arrived', () => {
      const raw = rawClient({ local: { initialWindow: 65_535 }, credits: false }, split);
      raw.send(
        request(1, 'more'),
        ...Array.from({ length: 66 }, () => data(1, Buffer.alloc(1000))),
        request(3),
      );
      assert.deepEqual(raw.said(), ['RST_STREAM 1 FLOW_CONTROL']);
      assert.deepEqual([raw.side.told[0]!.bytes, raw.side.told.length], [65_000, 2]);
    });

    it('beyond the content-length reset the stream', () => {
      const raw = rawClient({}, split);
      raw.send(
        request(1, 'more', [['content-length', '7']]),
        data(1, BODY),
        data(1, BODY),
        data(1, BODY),
        request(3),
      );
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
    raw.send(rstStream(1));
    raw.send(data(2049, BODY), request(2051));
    assert.deepEqual(raw.said(), ['HEADERS 2051 200 end']);
  });

  it('ids no longer remembered count as reset by us, the lenient reading', () => {
    const raw = rawClient(answerAtOnce);
    for (let id = 1; id <= 4097; id += 2) raw.send(request(id)).frames();
    assert.deepEqual(raw.send(data(1, BODY), trailers(3)).said(), []);
    assert.deepEqual(raw.send(data(4097, BODY)).said(), ['GOAWAY 4097 STREAM_CLOSED']);
  });
});

describe('a connection without an owner for a stream yet', () => {
  it('survives a handler that throws: the defect ends this connection and is reported once', () => {
    const raw = rawClient({
      onStream: () => {
        throw new Error('a defect');
      },
    });
    raw.send(request(1));
    assert.deepEqual(raw.said(), ['GOAWAY 1 INTERNAL']);
    assert.equal(raw.side.defects.length, 1);
    assert.ok(raw.side instanceof Side);
  });
});
