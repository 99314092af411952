import assert from 'node:assert/strict';
import {
  type ConnectionLook,
  IDLE_LIMIT_MS,
  IdleWatch,
  KEEPALIVE_MS,
  PONG_MS,
} from '../../../../sidecar/transport/keepalive/idle-watch.js';

const look = (watch: IdleWatch, nowMs: number, over: Partial<ConnectionLook> = {}) =>
  watch.look({ nowMs, lastReadMs: 0, calls: 0, lastStreamId: 0, hasStalled: false, ...over });

describe('an accepted connection', () => {
  it('is idle after an hour without a call, whatever else its peer sends', () => {
    const watch = new IdleWatch(0);
    assert.equal(look(watch, IDLE_LIMIT_MS - 1, { lastReadMs: IDLE_LIMIT_MS - 1 }), 'live');
    assert.equal(look(watch, IDLE_LIMIT_MS, { lastReadMs: IDLE_LIMIT_MS }), 'idle');
  });

  it('is not idle while calls come, also where each is over before the next look', () => {
    const watch = new IdleWatch(0);
    for (let i = 1; i <= 10; i++)
      assert.equal(look(watch, (i * IDLE_LIMIT_MS) / 2, { lastStreamId: 2 * i - 1 }), 'live');
    assert.equal(
      look(watch, 5 * IDLE_LIMIT_MS, { lastStreamId: 19, calls: 1, lastReadMs: 5 * IDLE_LIMIT_MS }),
      'live',
    );
    assert.equal(look(watch, 6 * IDLE_LIMIT_MS - 1, { lastStreamId: 19 }), 'live');
    assert.equal(look(watch, 6 * IDLE_LIMIT_MS, { lastStreamId: 19 }), 'idle');
  });

  it('with a call is sent a PING after two hours of silence, and stays while these are answered', () => {
    const watch = new IdleWatch(0);
    let lastReadMs = 0;
    for (let i = 0; i < 5; i++) {
      assert.equal(look(watch, lastReadMs + KEEPALIVE_MS - 1, { calls: 1, lastReadMs }), 'live');
      assert.equal(look(watch, lastReadMs + KEEPALIVE_MS, { calls: 1, lastReadMs }), 'ping');
      lastReadMs += KEEPALIVE_MS + 10;
      assert.equal(look(watch, lastReadMs + PONG_MS, { calls: 1, lastReadMs }), 'live');
    }
  });

  it('is dead when a PING has no answer, and not while our own event loop has stalled', () => {
    const watch = new IdleWatch(0);
    assert.equal(look(watch, KEEPALIVE_MS, { calls: 1 }), 'ping');
    assert.equal(look(watch, KEEPALIVE_MS + PONG_MS - 1, { calls: 1 }), 'live');
    assert.equal(look(watch, KEEPALIVE_MS + PONG_MS, { calls: 1, hasStalled: true }), 'live');
    assert.equal(look(watch, KEEPALIVE_MS + PONG_MS, { calls: 1 }), 'dead');
  });
});
