import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { drained } from '../../../../../services/openai/http/drained.js';

describe('waiting for a client that reads', () => {
  let raw: PassThrough;
  let gone: AbortController;
  let late: AbortController;
  beforeEach(() => {
    raw = new PassThrough({ highWaterMark: 1 });
    raw.on('error', () => {});
    [gone, late] = [new AbortController(), new AbortController()];
  });

  it('ends when it has read enough', async () => {
    raw.write('more than it takes');
    const waiting = drained(raw, gone.signal, () => late.signal);
    raw.read();
    await waiting;
    assert.equal(raw.destroyed, false);
  });

  it('ends when it has gone', async () => {
    const waiting = drained(raw, gone.signal, () => late.signal);
    gone.abort();
    await waiting;
    await drained(raw, gone.signal, () => late.signal);
    assert.equal(raw.destroyed, false);
  });

  it('ends its connection when it reads too little for too long', async () => {
    const waiting = drained(raw, gone.signal, () => late.signal);
    late.abort();
    await waiting;
    assert.equal(raw.destroyed, true);
  });

  it('does not count the time that its response waits behind another one', async () => {
    const queued = Object.assign(raw, { socket: null as null | object });
    let limits = 0;
    const limit = () => {
      limits++;
      return late.signal;
    };
    const waiting = drained(queued as never, gone.signal, limit);
    assert.equal(limits, 0);
    queued.socket = {};
    raw.emit('socket', queued.socket);
    assert.equal(limits, 1);
    late.abort();
    await waiting;
    assert.equal(raw.destroyed, true);
    assert.deepEqual(
      ['drain', 'socket'].map((event) => raw.listenerCount(event)),
      [0, 0],
    );
  });

  it('ends when its turn comes and what waited is sent at once', async () => {
    const waiting = drained(Object.assign(raw, { socket: null }), gone.signal, () => late.signal);
    raw.emit('socket', {});
    raw.emit('drain');
    await waiting;
    late.abort();
    assert.equal(raw.destroyed, false);
  });
});
