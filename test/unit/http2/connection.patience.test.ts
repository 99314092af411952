import assert from 'node:assert/strict';
import type { ConnectionHandler } from '../../../sidecar/http2/connection-state.js';
import { type Raw, rawClient, request } from '../../kit/http2/connection-under-test.js';
import * as h2 from '../../kit/http2/h2-frames.js';
import { Setting } from '../../kit/http2/h2-frames.js';
import type { Told } from '../../kit/http2/recorded-events.js';

const PART = Buffer.alloc(1000, 7);

describe('a patient stream', () => {
  let raw: Raw;
  let streams: Told[];
  let log: string[];

  beforeEach(() => {
    streams = [];
    raw = rawClient({
      onStream: (told, side) => {
        streams.push(told);
        side.respond(told);
      },
    });
    const handler: ConnectionHandler = raw.side;
    log = [];
    handler.onDirty = () => void log.push('dirty');
    handler.onPatient = () => void log.push('patient');
    raw.send(h2.settings([[Setting.initialWindowSize, 1 << 20]]), h2.windowUpdate(0, 1 << 20));
    raw.send(request(1), request(3)).said();
    for (const { stream } of streams) assert.equal(stream.isPatient, false);
    streams[0]!.stream.isPatient = true;
    log = [];
  });

  const part = (at = 0, end: 'end' | 'more' = 'more'): void => raw.side.send(streams[at]!, PART, end);
  /** What asks for a flush, and what the flush then writes. */
  const flushed = (): [asked: string[], said: string[]] => {
    const asked = log;
    log = [];
    return [asked, raw.said()];
  };
  const waits = (): number => raw.side.state.waiting.bytes;

  it('asks for no flush until it is released, and then goes out as one frame', () => {
    part();
    part();
    assert.deepEqual(log, ['patient', 'patient']);
    raw.side.connection.releasePatient();
    assert.deepEqual(flushed(), [['patient', 'patient', 'dirty'], ['DATA 1 2000']]);
    raw.side.connection.releasePatient();
    assert.deepEqual(flushed(), [[], []]);
  });

  it('goes out at once with 16 KiB of it and of other patient streams', () => {
    streams[1]!.stream.isPatient = true;
    for (let i = 0; i < 16; i++) part(i % 2);
    assert.deepEqual([...new Set(log)], ['patient']);
    part();
    assert.deepEqual(log.slice(-1), ['dirty']);
    part();
    assert.equal(log.filter((what) => what === 'dirty').length, 1);
    assert.deepEqual(flushed()[1], ['DATA 1 10000', 'DATA 3 8000']);
    part();
    assert.deepEqual(log, ['patient']);
  });

  it('goes out at once with its trailers', () => {
    part();
    raw.side.trailers(streams[0]!);
    assert.deepEqual(flushed(), [
      ['patient', 'dirty'],
      ['DATA 1 1000', 'HEADERS 1 0 end'],
    ]);
  });

  it('goes out at once with its last payload', () => {
    part();
    part(0, 'end');
    assert.deepEqual(flushed(), [['patient', 'dirty'], ['DATA 1 2000 end']]);
  });

  it('goes out at once when it is patient no more', () => {
    part();
    streams[0]!.stream.isPatient = false;
    part();
    assert.deepEqual(flushed(), [['patient', 'dirty'], ['DATA 1 2000']]);
  });

  it('goes out with what does not wait: another stream, a reset, a control frame', () => {
    part();
    part(1);
    assert.deepEqual(flushed(), [
      ['patient', 'dirty'],
      ['DATA 1 1000', 'DATA 3 1000'],
    ]);
    part();
    raw.side.connection.ping();
    assert.deepEqual(flushed(), [
      ['patient', 'dirty'],
      ['PING 6f75747269646572', 'DATA 1 1000'],
    ]);
    part();
    raw.side.reset(streams[1]!);
    assert.deepEqual(flushed(), [
      ['patient', 'dirty'],
      ['RST_STREAM 3 CANCEL', 'DATA 1 1000'],
    ]);
  });

  it('is not hurried by a window that it does not need', () => {
    part();
    raw.send(h2.windowUpdate(1, 1000));
    assert.deepEqual(log, ['patient']);
  });

  it('with its window exhausted waits for that alone', () => {
    raw.send(h2.settings([[Setting.initialWindowSize, 500]])).said();
    log = [];
    part();
    raw.side.connection.releasePatient();
    assert.deepEqual(flushed(), [['patient', 'dirty'], ['DATA 1 500']]);
    part();
    raw.side.connection.releasePatient();
    assert.deepEqual(flushed(), [[], []]);
    raw.send(h2.windowUpdate(1, 5000));
    assert.deepEqual(flushed(), [['dirty'], ['DATA 1 1500']]);
  });

  it('that is reset or cut off while it waits is dropped, and counted no more', () => {
    const before = waits();
    part();
    raw.send(h2.rstStream(1, 8));
    raw.side.connection.releasePatient();
    assert.deepEqual(flushed()[1], []);
    assert.ok(waits() < before);
    streams[1]!.stream.isPatient = true;
    part(1);
    raw.side.connection.abandon();
    raw.side.connection.releasePatient();
    assert.deepEqual(flushed()[1], []);
    assert.equal(waits(), 0);
  });

  it('is behind only where the peer or the socket does not take what it has', () => {
    const { connection } = raw.side;
    const { stream } = streams[0]!;
    assert.equal(connection.isBehind(stream), false);
    part();
    assert.equal(connection.isBehind(stream), false);
    connection.releasePatient();
    assert.equal(connection.isBehind(stream), true);
    raw.said();
    part(1);
    assert.equal(connection.isBehind(streams[1]!.stream), true);
  });

  it('is behind with its window exhausted', () => {
    raw.send(h2.settings([[Setting.initialWindowSize, 500]])).said();
    const { connection } = raw.side;
    const { stream } = streams[0]!;
    part();
    assert.equal(connection.isBehind(stream), true);
    raw.send(h2.windowUpdate(1, 5000));
    raw.said();
    assert.equal(connection.isBehind(stream), false);
  });
});
