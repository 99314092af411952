/**
 * Many calls at once, many in a row, and very large ones: the cases where a relay would lose or hold something back.
 */

import assert from 'node:assert/strict';
import { zeros } from '../service/test-service.js';
import { assertOk, type Case, casesOf, largeUnary } from './cases.js';
import { Caller } from './client.js';

export const LARGE_CASES: readonly Case[] = casesOf({
  'concurrent_large_unary (200 at once)': async (caller) =>
    void (await Promise.all(Array.from({ length: 200 }, () => largeUnary(caller)))),
  async 'concurrent_small_unary (1,000 at once)'(caller) {
    const replies = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => caller.unary({ response_size: i, payload: zeros(100) })),
    );
    const wrong = replies.filter((reply, i) => reply.code !== 0 || reply.value?.payload?.body.length !== i);
    assert.equal(wrong.length, 0, wrong[0]?.details);
  },
  async 'rpc_soak (100 in a row on one channel)'(caller) {
    for (let i = 0; i < 100; i += 1) await largeUnary(caller);
  },
  async 'channel_soak (20 new channels)'(caller) {
    for (let i = 0; i < 20; i += 1) {
      const fresh = new Caller(caller.address);
      try {
        await largeUnary(fresh);
      } finally {
        fresh.close();
      }
    }
  },
  async 'message of 64 MiB each way'(caller) {
    const body = Buffer.alloc(64 << 20, 7);
    const reply = await caller.unary({ response_size: 64 << 20, payload: { body } });
    assertOk(reply);
    assert.equal(reply.value?.payload?.body.length, 64 << 20);
  },
});
