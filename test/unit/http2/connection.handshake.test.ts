import assert from 'node:assert/strict';
import { MODEL_READINESS } from '../../../sidecar/http2/constants.js';
import { ANSWERS_AT_ONCE, listOf, NONE, Side } from '../../kit/http2/connection-pair.js';
import {
  endingsOf,
  Raw,
  rawClient,
  rawServer,
  request,
  response,
} from '../../kit/http2/connection-under-test.js';
import * as h2 from '../../kit/http2/h2-frames.js';
import { FrameType, PREFACE, Setting } from '../../kit/http2/h2-frames.js';
import { encode, tableSizeUpdate } from '../../kit/http2/hpack-lite.js';
import { SPLITS, WHOLE } from '../../kit/http2/splits.js';

for (const [how, split] of SPLITS) {
  const newServer = (): Raw => new Raw(new Side('server'), split, false);
  const newClient = (): Raw => new Raw(new Side('client'), split, true);
  /** A server under test, and a client, whose own beginnings have been read. */
  const begun = (): [server: Raw, client: Raw] => {
    const both: [Raw, Raw] = [newServer(), newClient()];
    for (const raw of both) raw.frames();
    return both;
  };
  const both = [rawClient, rawServer] as const;

  describe(`the start of a connection, ${how}`, () => {
    it('begins with SETTINGS and the window of a server, which acknowledges those of the client', () => {
      const raw = newServer();
      assert.deepEqual(raw.said(), ['SETTINGS', `WINDOW_UPDATE 0 ${16 * 1024 * 1024 - 65_535}`]);
      assert.deepEqual(raw.send(PREFACE, h2.settings()).said(), ['SETTINGS ack']);
      assert.equal(raw.side.settingsSeen, 1);
    });

    it('begins with the preface of a client, then SETTINGS', () => {
      const raw = newClient();
      const bytes = raw.side.take();
      assert.ok(bytes.subarray(0, PREFACE.length).equals(PREFACE));
      const types = raw.reader.push(bytes).map(({ type }) => type);
      assert.deepEqual(types, [FrameType.settings, FrameType.windowUpdate]);
      assert.deepEqual(raw.send(h2.settings()).said(), ['SETTINGS ack']);
    });

    it('is refused when it is not HTTP/2, at the first byte that differs', () => {
      for (const text of ['GET / HTTP/1.1\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n', '\x16\x03\x01']) {
        const [raw] = begun();
        assert.deepEqual(raw.send(Buffer.from(text, 'latin1')).said(), ['GOAWAY 0 PROTOCOL'], text);
        assert.equal(raw.side.fatal.length, 1);
      }
    });

    it('is refused when the first frame is not SETTINGS, or only their acknowledgement', () => {
      for (const first of [h2.ping(), request(1), h2.settingsAck(), h2.frame(0, 0, 1), h2.frame(99, 0, 0)]) {
        const [server, client] = begun();
        assert.deepEqual(server.send(PREFACE, first).said(), ['GOAWAY 0 PROTOCOL']);
        assert.deepEqual(client.send(first).said(), ['GOAWAY 0 PROTOCOL']);
      }
    });

    it('reads and sends nothing after the connection is over', () => {
      const [raw] = begun();
      assert.deepEqual(raw.send(PREFACE, h2.ping(), h2.settings(), request(1)).said(), ['GOAWAY 0 PROTOCOL']);
      assert.deepEqual(raw.send(h2.settings(), request(3)).said(), []);
      assert.deepEqual([raw.side.told.length, raw.side.fatal.length, raw.side.settingsSeen], [0, 1, 0]);
    });
  });

  describe(`SETTINGS, ${how}`, () => {
    it('are refused with values that RFC 9113 forbids, and accepted at their bounds', () => {
      for (const [id, value, error] of [
        [Setting.enablePush, 2, 'PROTOCOL'],
        [Setting.initialWindowSize, 0x80000000, 'FLOW_CONTROL'],
        [Setting.maxFrameSize, 16_383, 'PROTOCOL'],
        [Setting.maxFrameSize, 0x1000000, 'PROTOCOL'],
        [Setting.enablePush, 0, ''],
        [Setting.initialWindowSize, 0x7fffffff, ''],
        [Setting.initialWindowSize, 0, ''],
        [Setting.maxFrameSize, 16_384, ''],
        [Setting.maxFrameSize, 0xffffff, ''],
        [Setting.maxConcurrentStreams, 0xffffffff, ''],
        [Setting.headerTableSize, 0xffffffff, ''],
        [Setting.maxHeaderListSize, 0, ''],
        [0x4242, 0xffffffff, ''],
      ] as const) {
        const says = error === '' ? 'SETTINGS ack' : `GOAWAY 0 ${error}`;
        const frame = h2.settings([[id, value]]);
        for (const make of both)
          assert.deepEqual(make({}, split).send(frame).said(), [says], `${id} ${value}`);
      }
    });

    it('say how the model behind the peer fares', () => {
      const raw = rawServer({}, split);
      const { peer } = raw.side.state;
      const said = [1, 1, 0, 2, 3].map((value) => {
        raw.send(h2.settings([[MODEL_READINESS, value]]));
        return peer.readiness;
      });
      assert.deepEqual(said, [1, 1, 0, 2, 0]);
    });

    it('may offer push from a client, not from a server', () => {
      const offer = h2.settings([[Setting.enablePush, 1]]);
      assert.deepEqual(rawClient({}, split).send(offer).said(), ['SETTINGS ack']);
      assert.deepEqual(rawServer({}, split).send(offer).said(), ['GOAWAY 0 PROTOCOL']);
    });

    it('of the wrong shape end the connection', () => {
      for (const [bytes, error] of [
        [h2.frame(4, 0, 0, Buffer.alloc(5)), 'FRAME_SIZE'],
        [h2.frame(4, 0, 0, Buffer.alloc(7)), 'FRAME_SIZE'],
        [h2.frame(4, 1, 0, Buffer.alloc(6)), 'FRAME_SIZE'],
        [h2.frame(4, 0, 1, Buffer.alloc(0)), 'PROTOCOL'],
        [h2.frame(4, 1, 1, Buffer.alloc(0)), 'PROTOCOL'],
      ] as const)
        assert.deepEqual(rawClient({}, split).send(bytes).said(), [`GOAWAY 0 ${error}`]);
    });

    it('that make the table smaller and larger in one frame are followed by two updates (RFC 7541 section 4.2)', () => {
      const sizes = [0, 4096].map((size) => [Setting.headerTableSize, size] as const);
      const [, answer] = rawClient(ANSWERS_AT_ONCE, split).send(h2.settings(sizes)).send(request(1)).frames();
      const updates = Buffer.concat([tableSizeUpdate(0), tableSizeUpdate(4096)]);
      assert.deepEqual(answer!.payload.subarray(0, updates.length), updates);
    });
  });
}

describe('a header table', () => {
  it('that is offered smaller is respected, and one offered larger is not used', () => {
    for (const [size, update] of [
      [0, tableSizeUpdate(0)],
      [100, tableSizeUpdate(100)],
      [1 << 20, Buffer.alloc(0)],
    ] as const) {
      const offer = h2.settings([[Setting.headerTableSize, size]]);
      const [, answer] = rawClient(ANSWERS_AT_ONCE).send(offer, request(1)).frames();
      assert.deepEqual(answer!.payload.subarray(0, update.length), update);
      if (update.length === 0) assert.notEqual(answer!.payload[0]! & 0xe0, 0x20);
    }
  });
});

describe('PING', () => {
  it('is answered with its own bytes; its own answers are counted once each', () => {
    const raw = rawClient().send(h2.ping(Buffer.from('0102030405060708', 'hex')));
    assert.deepEqual(raw.said(), ['PING ack 0102030405060708']);
    raw.send(h2.ping(Buffer.alloc(8), 1));
    assert.equal(raw.side.pongs, 0);
    raw.side.connection.ping();
    assert.equal(raw.frames().length, 1);
    raw.send(h2.ping(Buffer.alloc(8), 1), h2.ping(Buffer.alloc(8), 1));
    assert.equal(raw.side.pongs, 1);
  });

  it('of the wrong shape ends the connection', () => {
    for (const [bytes, error] of [
      [h2.frame(6, 0, 0, Buffer.alloc(7)), 'FRAME_SIZE'],
      [h2.frame(6, 0, 1, Buffer.alloc(8)), 'PROTOCOL'],
    ] as const)
      assert.deepEqual(rawClient().send(bytes).said(), [`GOAWAY 0 ${error}`]);
  });
});

describe('a server that never sends SETTINGS', () => {
  it('causes no event; requests are sent, and lost with the connection', () => {
    const raw = new Raw(new Side('client'), WHOLE, true);
    raw.side.open();
    raw.side.open();
    const requests = [1, 3].map((id) => `HEADERS ${id} /test.Service/Call end`);
    assert.deepEqual(raw.said().slice(2), requests);
    raw.side.open();
    assert.equal(raw.side.settingsSeen, 0);
    raw.side.connection.abandon();
    assert.deepEqual(endingsOf(raw.side.told), ['lost 2', 'lost 2', 'unprocessed 7']);
  });

  it('cannot answer before it does', () => {
    const raw = new Raw(new Side('client'), WHOLE, true);
    const told = raw.side.open();
    raw.frames();
    assert.deepEqual(raw.send(response(1, 'end')).said(), ['GOAWAY 0 PROTOCOL']);
    assert.equal(told.ending, 'lost 2');
  });
});

describe('padding and priority of HEADERS', () => {
  const block = encode(Object.entries({ ':method': 'POST', ':scheme': 'http', ':path': '/a/b' }));
  const priority = Buffer.from([0x80, 0, 0, 0, 7]);
  const padded = (padding: number, body: Buffer, flags: number): Buffer =>
    h2.headers(1, Buffer.concat([Buffer.from([padding]), body, Buffer.alloc(padding)]), flags | 8);

  it('are removed', () => {
    for (const bytes of [
      h2.headers(1, Buffer.concat([priority, block]), 0x25),
      padded(0, block, 5),
      padded(255, block, 5),
      padded(9, Buffer.concat([priority, block]), 0x25),
    ]) {
      const raw = rawClient().send(bytes);
      assert.deepEqual(raw.said(), []);
      assert.equal(raw.side.told[0]?.headers?.[2]?.[1], '/a/b');
    }
  });

  it('that do not fit end the connection', () => {
    for (const [bytes, error] of [
      [h2.headers(1, Buffer.alloc(0), 0xd), 'FRAME_SIZE'],
      [h2.headers(1, Buffer.from([1]), 0xd), 'PROTOCOL'],
      [h2.headers(1, Buffer.from([0, 0, 0, 0]), 0x25), 'FRAME_SIZE'],
      [h2.headers(1, Buffer.concat([Buffer.from([200]), block]), 0xd), 'PROTOCOL'],
    ] as const)
      assert.deepEqual(rawClient().send(bytes).said(), [`GOAWAY 0 ${error}`]);
  });
});

describe('sending on a connection', () => {
  it('writes nothing of a stream that was reset before its turn', () => {
    const raw = rawServer();
    const gone = raw.side.open();
    const kept = raw.side.open();
    raw.side.reset(gone);
    assert.deepEqual(raw.said(), ['HEADERS 1 /test.Service/Call end']);
    assert.equal(kept.stream.id, 1);
    assert.deepEqual([gone.ending, gone.stream.id], ['', 0]);
  });

  it('writes data after the headers when they are queued later', () => {
    const raw = rawServer();
    const told = raw.side.open(undefined, 'more');
    raw.side.reset(told);
    const early = raw.side.connection.openStream(told);
    raw.side.connection.sendData(early, Buffer.from('abc'), 0, 3, true);
    assert.deepEqual(raw.said(), []);
    raw.side.connection.sendHeaders(early, listOf([[':method', 'GET']]), NONE, false);
    assert.deepEqual(raw.said(), ['HEADERS 1 1 fields', 'DATA 1 3 end']);
  });
});
