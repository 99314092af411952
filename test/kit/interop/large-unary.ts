/** The large_unary case of the gRPC project, which others repeat: 271,828 bytes up, 314,159 bytes down. */

import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import type { Payload } from '../service/test-proto.js';
import type { Caller } from './client.js';

export const zeros = (size: number): Payload => ({ type: 0, body: Buffer.alloc(size) });

const LARGE = { response_size: 314_159, payload: zeros(271_828) };

export async function largeUnary(caller: Caller): Promise<void> {
  const reply = await caller.unary(LARGE);
  assert.equal(reply.code, status.OK, reply.details);
  assert.equal(reply.value?.payload?.body.length, 314_159);
  assert.ok(reply.value?.payload?.body.every((byte) => byte === 0));
}
