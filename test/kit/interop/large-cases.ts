/**
 * Many calls at once, many in a row, and very large ones: the cases where a relay would lose or hold something back.
 */

import assert from 'node:assert/strict';
import { runs } from '../mocha/effort.js';
import { zeros } from '../service/test-service.js';
import { assertOk, type Case, casesOf, largeUnary } from './cases.js';
import { Caller } from './client.js';

const LARGE_AT_ONCE = runs(40);
const IN_A_ROW = runs(20);
const CHANNELS = runs(4);

export const LARGE_CASES: readonly Case[] = casesOf({
  [`concurrent_large_unary (${LARGE_AT_ONCE} at once)`]: async (caller) =>
    void (await Promise.all(Array.from({ length: LARGE_AT_ONCE }, () => largeUnary(caller)))),
  async 'concurrent_small_unary (1,000 at once)'(caller) {
    const replies = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => caller.unary({ response_size: i, payload: zeros(100) })),
    );
    const wrong = replies.filter((reply, i) => reply.code !== 0 || reply.value?.payload?.body.length !== i);
    assert.equal(wrong.length, 0, wrong[0]?.details);
  },
  async [`rpc_soak (${IN_A_ROW} in a row on one channel)`](caller) {
    for (let i = 0; i < IN_A_ROW; i += 1) await largeUnary(caller);
  },
  async [`channel_soak (${CHANNELS} new channels)`](caller) {
    for (let i = 0; i < CHANNELS; i += 1) {
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
