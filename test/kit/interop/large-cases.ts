/**
 * Many calls at once, many in a row, and very large ones: the cases where a relay would lose or hold something back.
 */

import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import type { Case } from './cases.js';
import { Caller } from './client.js';
import { largeUnary, zeros } from './large-unary.js';

export const LARGE_CASES: readonly Case[] = [
  {
    name: 'concurrent_large_unary (200 at once)',
    run: async (caller) => void (await Promise.all(Array.from({ length: 200 }, () => largeUnary(caller)))),
  },
  {
    name: 'concurrent_small_unary (1,000 at once)',
    async run(caller) {
      const replies = await Promise.all(
        Array.from({ length: 1000 }, (_, i) => caller.unary({ response_size: i, payload: zeros(100) })),
      );
      const wrong = replies.filter((reply, i) => reply.code !== 0 || reply.value?.payload?.body.length !== i);
      assert.equal(wrong.length, 0, wrong[0]?.details);
    },
  },
  {
    name: 'rpc_soak (100 in a row on one channel)',
    async run(caller) {
      for (let i = 0; i < 100; i += 1) await largeUnary(caller);
    },
  },
  {
    name: 'channel_soak (20 new channels)',
    async run(caller) {
      for (let i = 0; i < 20; i += 1) {
        const fresh = new Caller(caller.address);
        try {
          await largeUnary(fresh);
        } finally {
          fresh.close();
        }
      }
    },
  },
  {
    name: 'message of 64 MiB each way',
    async run(caller) {
      const body = Buffer.alloc(64 << 20, 7);
      const reply = await caller.unary({ response_size: 64 << 20, payload: { body } });
      assert.equal(reply.code, status.OK, reply.details);
      assert.equal(reply.value?.payload?.body.length, 64 << 20);
    },
  },
];
