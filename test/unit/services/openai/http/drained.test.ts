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
    const waiting = drained(raw, gone.signal, late.signal);
    raw.read();
    await waiting;
    assert.equal(raw.destroyed, false);
  });

  it('ends when it has gone', async () => {
    const waiting = drained(raw, gone.signal, late.signal);
    gone.abort();
    await waiting;
    await drained(raw, gone.signal, late.signal);
    assert.equal(raw.destroyed, false);
  });

  it('ends its connection when it reads too little for too long', async () => {
    const waiting = drained(raw, gone.signal, late.signal);
    late.abort();
    await waiting;
    assert.equal(raw.destroyed, true);
  });
});
