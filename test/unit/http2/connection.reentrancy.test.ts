import assert from 'node:assert/strict';
import { pair, pump, type Side } from '../../kit/http2/connection-pair.js';
import {
  calling,
  endingsOf,
  rawClient,
  request,
  response,
  trailers,
} from '../../kit/http2/connection-under-test.js';
import { data, goaway, rstStream, Setting, settings, windowUpdate } from '../../kit/http2/h2-frames.js';
import type { Moment, Told } from '../../kit/http2/recorded-events.js';

const BODY = Buffer.alloc(40_000, 1);
const limit = (most: number) => ({ values: [[Setting.maxConcurrentStreams, most] as const] });
const HARMLESS = ['', 'violation 1', 'reset 8', 'lost 2', 'unprocessed 7'];

const fault = (): never => assert.fail('a defect');

/** What an owner may do in the middle of being told something. */
type Deed = (side: Side, told: Told) => void;
const DEEDS: readonly [name: string, deed: Deed][] = [
  ['resets its own stream', (side, told) => side.reset(told)],
  ['resets every stream', (side) => side.told.forEach((each) => void side.reset(each))],
  ['fails the connection', (side) => side.connection.fail(2, 'by an owner')],
  ['abandons the connection', (side) => side.connection.abandon()],
  ['sends payload', (side, told) => side.send(told, Buffer.alloc(100))],
  ['ends its stream', (side, told) => side.send(told, Buffer.alloc(100), 'end')],
  ['sends trailers', (side, told) => side.trailers(told)],
  ['credits', (side, told) => side.connection.credit(told.stream, 1 << 20, 1 << 22)],
  ['says GOAWAY', (side) => side.connection.finalGoaway()],
  ['flushes', (side) => void side.take()],
  ['throws', fault],
];
const MOMENTS: readonly Moment[] = ['headers', 'data', 'trailers', 'ending', 'sent'];

describe('an owner that acts within an event', () => {
  for (const [name, deed] of DEEDS) {
    for (const moment of MOMENTS) {
      it(`that calls ${name} at ${moment} leaves every owner one ending, and nothing is sent after the end`, () => {
        for (const role of ['client', 'server'] as const) {
          for (const at of [0, 1, 2]) scene(role, at, [moment, deed]);
        }
      });
    }
  }

  /** Three streams with payload both ways, one of them reset by the peer; the owner of one does its deed, once. */
  function scene(role: 'client' | 'server', at: number, [moment, deed]: readonly [Moment, Deed]): void {
    const { client, server } = pair();
    const [actor, other] = role === 'client' ? [client, server] : [server, client];
    for (let i = 0; i < 3; i++) client.send(client.open(undefined, 'more'), BODY);
    pump(client, server);
    for (const told of server.told) server.respond(told);
    actor.told[at]!.during = (now, told) => {
      if (now !== moment) return;
      told.during = () => {};
      deed(actor, told);
    };
    for (const side of [client, server]) for (const told of side.told) side.send(told, BODY);
    pump(client, server);
    other.reset(other.told[0]!);
    for (const told of client.told) client.send(told, BODY, 'end');
    for (const told of server.told.slice(1)) server.trailers(told);
    pump(client, server);
    check(actor);
    check(other);
  }

  function check(side: Side): void {
    side.connection.abandon();
    for (const told of side.told) {
      assert.ok(told.endings.length <= 1, `told ${told.ending}`);
      assert.ok(told.ends <= 1 && told.stream.closed);
      assert.equal(told.stream.firstChunk, null);
      assert.ok(HARMLESS.includes(told.ending) || told.ending.startsWith('reset'), told.ending);
    }
    assert.ok(side.fatal.length <= 1);
    assert.equal(side.connection.openStreams, 0);
    assert.ok(side.connection.capacity <= 0 || side.fatal.length === 0);
    side.take();
    assert.equal(side.take().length, 0);
  }
});

describe('an owner that resets another stream', () => {
  it('when GOAWAY ends both: the other owner gets no event', () => {
    const { raw, told } = calling(['end', 'end', 'end']);
    told[1]!.during = () => raw.side.reset(told[2]!);
    raw.send(goaway(1));
    assert.deepEqual(endingsOf(told), ['', 'unprocessed 7', '']);
    assert.deepEqual(raw.said(), ['RST_STREAM 5 CANCEL']);
  });

  it('when the connection is lost: the other owner gets no event', () => {
    const { raw, told } = calling(['end', 'end', 'end', 'end'], limit(2));
    told[0]!.during = () => {
      raw.side.reset(told[1]!);
      raw.side.reset(told[2]!);
    };
    raw.side.connection.abandon();
    assert.deepEqual(endingsOf(told), ['lost 2', '', '', 'unprocessed 7']);
    assert.equal(raw.side.connection.openStreams, 0);
  });

  it('when the connection fails: nothing is sent but GOAWAY', () => {
    const raw = rawClient();
    raw.send(request(1, 'more'), data(1, Buffer.alloc(16_000)), request(3, 'more'), request(5, 'more'));
    const [first, second, third] = raw.side.told as [Told, Told, Told];
    first.during = () => {
      raw.side.reset(second);
      raw.side.connection.credit(third.stream, 1 << 20, 0);
      raw.side.send(third, Buffer.alloc(5), 'end');
      raw.side.connection.ping();
    };
    raw.send(Buffer.alloc(9));
    assert.deepEqual([...raw.said(), ...raw.said()], ['GOAWAY 5 PROTOCOL']);
    assert.deepEqual(endingsOf([first, second, third]), ['lost 2', '', 'lost 2']);
  });

  it('in the middle of its payload: the rest of the frame is dropped', () => {
    const raw = rawClient().send(request(1, 'more'), request(3, 'more'));
    const [first, second] = raw.side.told as [Told, Told];
    first.during = () => raw.side.reset(second);
    const half = data(3, Buffer.alloc(1000));
    raw.send(half.subarray(0, 500));
    // DATA of stream 3 is under way; its owner is asked by stream 1 on another connection, as it were.
    first.during('data', first);
    raw.send(half.subarray(500), data(1, Buffer.alloc(3), 1), trailers(3));
    assert.deepEqual([second.bytes, second.ends, second.ending], [491, 0, '']);
    assert.deepEqual([first.bytes, first.ends], [3, 1]);
    assert.deepEqual(raw.said(), ['RST_STREAM 3 CANCEL']);
  });
});

describe('an owner that has its whole response', () => {
  for (const end of ['fail', 'abandon'] as const) {
    it(`gets no second ending when it ends the connection itself: ${end}`, () => {
      const { raw, told } = calling(['more', 'end']);
      const { connection } = raw.side;
      told[0]!.during = () => (end === 'fail' ? connection.fail(2, 'enough') : connection.abandon());
      raw.send(response(1, 'end'));
      assert.deepEqual([told[0]!.ends, ...endingsOf(told)], [1, '', 'lost 2']);
      assert.equal(connection.openStreams, 0);
    });
  }

  it('and resets its stream, which both sides have ended, sends nothing', () => {
    const { raw, told } = calling(['end']);
    told[0]!.during = (_moment, each) => raw.side.reset(each);
    raw.send(response(1, 'end'));
    assert.deepEqual([raw.said(), raw.side.connection.openStreams], [[], 0]);
  });
});

describe('an owner that resets its stream while it is written', () => {
  it('has its reset written before another stream is opened within the limit', () => {
    const { raw } = calling([], limit(1));
    const [told, next] = [raw.side.open(undefined, 'more'), raw.side.open()];
    told.during = () => raw.side.reset(told);
    raw.side.send(told, Buffer.alloc(9));
    const first = ['HEADERS 1 /test.Service/Call', 'DATA 1 9', 'RST_STREAM 1 CANCEL'];
    assert.deepEqual(raw.said(), [...first, 'HEADERS 3 /test.Service/Call end']);
    assert.equal(next.stream.id, 3);
  });
});

describe('a defect', () => {
  it('of one owner at the end of a connection does not keep others from their event', () => {
    const raw = rawClient().send(request(1, 'more'), request(3, 'more'), request(5, 'more'));
    for (const told of raw.side.told.slice(0, 2)) told.during = fault;
    raw.side.connection.abandon();
    assert.deepEqual(endingsOf(raw.side.told), ['lost 2', 'lost 2', 'lost 2']);
    assert.equal(raw.side.defects.length, 2);
  });

  it('while writing ends that connection, in order', () => {
    const raw = rawClient().send(request(1), request(3));
    const [first, second] = raw.side.told as [Told, Told];
    first.during = fault;
    for (const told of [first, second]) {
      raw.side.respond(told);
      raw.side.send(told, Buffer.alloc(5), 'end');
    }
    assert.deepEqual([...raw.said(), ...raw.said()], ['HEADERS 1 200', 'DATA 1 5 end', 'GOAWAY 3 INTERNAL']);
    assert.deepEqual([second.ending, raw.side.defects.length, raw.side.fatal.length], ['lost 2', 1, 1]);
  });

  it('of the handler in onRoom does not keep streams open', () => {
    const raw = rawClient().send(request(1, 'more'), request(3, 'more'));
    raw.side.onRoom = fault;
    assert.deepEqual(raw.send(rstStream(1)).said(), ['GOAWAY 3 INTERNAL']);
    assert.equal(raw.side.connection.openStreams, 0);
    assert.ok(raw.side.defects.length >= 1);
  });
});

describe('a handler that opens a call whenever there is room', () => {
  it('is served within the limit, and no call is lost when the connection goes', () => {
    const { raw } = calling([], limit(2));
    raw.side.onRoom = () => {
      while (raw.side.connection.capacity > 0 && raw.side.told.length < 30) raw.side.open();
    };
    raw.side.onRoom();
    for (let id = 1; id < 21; id += 2) {
      assert.ok(raw.frames().every((frame) => frame.type === 1));
      raw.send(response(id, 'end'), windowUpdate(0, 1));
      assert.ok(raw.side.connection.openStreams <= 2);
    }
    raw.send(settings(limit(5).values)).frames();
    raw.side.connection.abandon();
    for (const told of raw.side.told) assert.equal(told.ends + told.endings.length, 1);
  });
});
