import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { drained } from '../../../../../services/openai/http/drained.js';

describe('waiting for a client that reads', () => {
  let raw: PassThrough;
  let gone: AbortController;
  beforeEach(() => {
    raw = new PassThrough({ highWaterMark: 1 });
    gone = new AbortController();
  });
  afterEach(() => assert.equal(raw.listenerCount('drain'), 0));

  it('ends when it has read enough', async () => {
    raw.write('more than it takes');
    const waiting = drained(raw, gone.signal);
    raw.read();
    await waiting;
  });

  it('ends when it has gone', async () => {
    const waiting = drained(raw, gone.signal);
    gone.abort();
    await waiting;
    await drained(raw, gone.signal);
    assert.equal(raw.destroyed, false);
  });
});
