import assert from 'node:assert/strict';
import { pair, pump, REQUEST, type SideOptions } from '../../kit/http2/connection-pair.js';
import {
  calling,
  endingsOf,
  rawClient,
  rawServer,
  request,
  response,
  trailers,
} from '../../kit/http2/connection-under-test.js';
import { data, goaway, headers, ping, rstStream, windowUpdate } from '../../kit/http2/h2-frames.js';
import { encode, literal } from '../../kit/http2/hpack-lite.js';

const BODY = Buffer.from('hello');
const ANSWERS: SideOptions = {
  onStream: (told, side) => {
    side.respond(told);
    side.send(told, BODY);
    side.trailers(told);
  },
};

describe('a server that drains', () => {
  it('announces the end, still accepts streams opened meanwhile, then refuses streams above the last id', () => {
    const raw = rawClient().send(request(1, 'more'));
    raw.side.connection.announceGoaway();
    assert.deepEqual(raw.send(request(3, 'more')).said(), ['GOAWAY 2147483647 NO_ERROR']);
    raw.side.connection.finalGoaway();
    assert.deepEqual(raw.said(), ['GOAWAY 3 NO_ERROR']);
    raw.send(request(5, 'more'), data(5, BODY), trailers(5), windowUpdate(5, 1), rstStream(5));
    assert.deepEqual(raw.said(), ['RST_STREAM 5 REFUSED']);
    raw.send(data(1, BODY, 1), data(3, BODY, 1));
    for (const told of raw.side.told) raw.side.respond(told, undefined, 'end');
    assert.deepEqual(raw.said(), ['HEADERS 1 200 end', 'HEADERS 3 200 end']);
    assert.equal(raw.side.told.length, 2);
    assert.deepEqual([raw.side.connection.openStreams, raw.side.fatal], [0, []]);
  });

  it('keeps the header table in step with requests it refuses', () => {
    const raw = rawClient().send(request(1, 'more'));
    raw.side.connection.finalGoaway();
    raw.frames();
    raw.send(headers(3, Buffer.concat([encode(REQUEST), literal('x-refused', 'yes', 0x40)]), 5));
    raw.send(headers(1, Buffer.from([0xbe]), 5));
    assert.deepEqual(raw.side.told[0]!.trailerPairs, [['x-refused', 'yes']]);
  });

  it('never raises the last id it sent, whatever follows', () => {
    const raw = rawClient().send(request(1, 'more'));
    raw.side.connection.finalGoaway();
    raw.send(request(3, 'more'));
    raw.side.connection.finalGoaway();
    raw.side.connection.announceGoaway();
    raw.send(Buffer.alloc(9));
    assert.deepEqual(raw.said(), ['GOAWAY 1 NO_ERROR', 'RST_STREAM 3 REFUSED', 'GOAWAY 1 PROTOCOL']);
  });

  it('sends nothing more once the connection has failed', () => {
    const raw = rawClient();
    const { connection } = raw.side;
    connection.fail(2, 'over');
    connection.fail(1, 'again');
    connection.announceGoaway();
    connection.finalGoaway();
    connection.ping();
    assert.deepEqual(raw.said(), ['GOAWAY 0 INTERNAL']);
    assert.deepEqual(raw.side.fatal, [{ code: 2, message: 'over' }]);
  });

  it('gives the reason in at most 120 bytes', () => {
    const raw = rawClient();
    raw.side.connection.fail(1, 'w'.repeat(500));
    const [frame] = raw.frames();
    assert.equal(frame!.payload.toString('latin1', 8), 'w'.repeat(120));
  });
});

describe('a client that receives GOAWAY', () => {
  it('continues streams up to the last id, and ends those above and those not sent as unprocessed', () => {
    const { raw, told } = calling(['end', 'end', 'more']);
    const fresh = raw.side.open();
    raw.send(goaway(3, 0, 'going'));
    assert.deepEqual(endingsOf([...told, fresh]), ['', '', 'unprocessed 7', '']);
    assert.deepEqual(raw.said(), []);
    assert.equal(fresh.ending, 'unprocessed 7');
    assert.deepEqual(raw.side.goaways, [{ code: 0, debug: 'going' }]);
    assert.equal(raw.side.connection.capacity, 0);
    raw.send(response(1, 'end'), response(3), data(3, BODY), trailers(3), response(5), data(5, BODY));
    const ends = told.map((each) => each.ends);
    assert.deepEqual(ends, [1, 1, 0]);
    assert.equal(raw.side.connection.openStreams, 0);
  });

  it('twice, the second with a lower id, ends the streams between as unprocessed', () => {
    const { raw, told } = calling(['end', 'end', 'end']);
    raw.send(goaway(0x7fffffff));
    assert.deepEqual(endingsOf(told), ['', '', '']);
    raw.send(goaway(3), goaway(1));
    assert.deepEqual(endingsOf(told), ['', 'unprocessed 7', 'unprocessed 7']);
    raw.send(goaway(5));
    assert.deepEqual(endingsOf(told), ['', 'unprocessed 7', 'unprocessed 7']);
  });

  it('with last id 0 and an error ends every stream as unprocessed', () => {
    const { raw, told } = calling(['end', 'end']);
    raw.send(goaway(0, 11, 'too_many_pings'));
    assert.deepEqual(endingsOf(told), ['unprocessed 7', 'unprocessed 7']);
    assert.deepEqual(raw.side.goaways, [{ code: 11, debug: 'too_many_pings' }]);
  });

  it('with an error lets the streams up to the last id finish', () => {
    const { raw, told } = calling(['end']);
    raw.send(goaway(1, 2), response(1, 'end'));
    assert.deepEqual([told[0]!.ends, told[0]!.ending], [1, '']);
  });

  it('keeps answering PING, and sending what has begun', () => {
    const { raw, told } = calling(['more']);
    raw.send(goaway(1), ping());
    raw.side.send(told[0]!, BODY, 'end');
    assert.deepEqual(raw.said(), ['PING ack 0000000000000000', 'DATA 1 5 end']);
  });

  it('with a very long reason keeps a part of it', () => {
    const raw = rawServer().send(goaway(0, 0, 'x'.repeat(10_000)));
    assert.equal(raw.side.goaways[0]!.debug.length, 128);
  });
});

describe('a server that receives GOAWAY', () => {
  it('continues every stream', () => {
    const raw = rawClient().send(request(1), goaway(0), request(3));
    for (const told of raw.side.told) raw.side.respond(told, undefined, 'end');
    assert.deepEqual(raw.said(), ['HEADERS 1 200 end', 'HEADERS 3 200 end']);
    assert.equal(raw.side.goaways.length, 1);
  });
});

describe('two-phase GOAWAY between two engines', () => {
  it('loses no call, at whatever point of the exchange', () => {
    for (let when = 0; when < 40; when++) {
      const { client, server } = pair({}, ANSWERS);
      let retried = 0;
      let done = 0;
      for (let step = 0; step < 40; step++) {
        if (step < 30 && client.connection.capacity > 0) client.open();
        if (step === when) server.connection.announceGoaway();
        if (step === when + 3) server.connection.finalGoaway();
        server.feed(client.take());
        if (step % 2 === 0) client.feed(server.take());
      }
      pump(client, server);
      for (const told of client.told) {
        if (told.ends === 1) done++;
        else if (told.ending === 'unprocessed 7' || told.ending === 'reset 7') retried++;
      }
      assert.equal(done + retried, client.told.length);
      assert.ok(done > 0 || when === 0);
      assert.deepEqual([client.fatal, server.fatal], [[], []]);
    }
  });
});
