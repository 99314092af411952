/** What the interop tests ask of calls beside the cases. */

import assert from 'node:assert/strict';
import { type CallOptions, Metadata, status } from '@grpc/grpc-js';
import type { Address } from '../../../sidecar/config/model.js';
import { Knob, type TestService } from '../service/test-service.js';
import { CASES, type Case } from './cases.js';
import { Caller } from './client.js';
import { LARGE_CASES } from './large-cases.js';
import { MODES, type Mode } from './mesh.js';

/** The large cases once: where peers and identity come from changes nothing in them. */
export function casesIn(mode: Mode): readonly Case[] {
  return mode === MODES[0] ? [...CASES, ...LARGE_CASES] : CASES;
}

/** The request metadata of a call as the service got it. */
export async function metadataSeen(caller: Caller): Promise<Record<string, unknown>> {
  const metadata = new Metadata();
  metadata.set(Knob.reflect, '1');
  const reply = await caller.unary({}, metadata);
  assert.equal(reply.code, status.OK, reply.details);
  return JSON.parse(Buffer.from(String(reply.trailing.get('x-test-seen')[0]), 'base64').toString());
}

/** Calls to this address are refused with PERMISSION_DENIED, one by one, and do not reach `service`. */
export async function refusesCalls(address: Address, service: TestService): Promise<void> {
  const stranger = new Caller(address);
  try {
    const before = service.stats.started;
    const replies = [await stranger.empty(), await stranger.unary({ response_size: 1 })];
    for (const reply of replies) assert.equal(reply.code, status.PERMISSION_DENIED, reply.details);
    assert.equal(service.stats.started, before);
  } finally {
    stranger.close();
  }
}

/** A call fails as UNAVAILABLE and does not reach `service`. */
export async function cannotReach(caller: Caller, service: TestService): Promise<void> {
  const before = service.stats.started;
  const reply = await caller.empty(new Metadata(), soon());
  assert.equal(reply.code, status.UNAVAILABLE, reply.details);
  assert.equal(service.stats.started, before);
}

/** For calls that are to fail: not so long that a wait for a connection hides the reason. */
export function soon(): CallOptions {
  return { deadline: Date.now() + 5000 };
}
