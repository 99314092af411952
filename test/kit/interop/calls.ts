/** What the interop tests ask of calls beside the cases. */

import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import type { Address } from '../../../sidecar/config/model.js';
import { afterTest } from '../mocha/after-test.js';
import { EFFORT } from '../mocha/effort.js';
import { Knob, type TestService } from '../service/test-service.js';
import { assertOk, CASES, type Case, reflected } from './cases.js';
import { Caller, metadataOf, soon } from './client.js';
import type { Layer } from './envoy.js';
import { LARGE_CASES } from './large-cases.js';
import { MODES, type Mode } from './mesh.js';

/** The large cases once: where peers and identity come from changes nothing in them, nor does a proxy that carries bytes. */
export function casesIn(mode: Mode, layer: Layer = 'http'): readonly Case[] {
  return EFFORT > 1 && mode === MODES[0] && layer === 'http' ? [...CASES, ...LARGE_CASES] : CASES;
}

/** The request metadata of a call as the service got it. */
export async function metadataSeen(caller: Caller): Promise<Record<string, unknown>> {
  const reply = await caller.unary({}, metadataOf({ [Knob.reflect]: '1' }));
  assertOk(reply);
  return reflected(reply);
}

/** Calls to this address are refused with PERMISSION_DENIED, one by one, and do not reach `service`. */
export async function refusesCalls(address: Address, service: TestService): Promise<void> {
  const stranger = callerUntilEnd(address);
  await stranger.connected();
  const before = service.stats.started;
  const replies = [await stranger.empty(), await stranger.unary({ response_size: 1 })];
  for (const reply of replies) assert.equal(reply.code, status.PERMISSION_DENIED, reply.details);
  assert.equal(service.stats.started, before);
}

/** A call to this address fails with this status and says that, and does not reach `service`. */
export async function cannotReach(
  address: Address,
  service: TestService,
  { code = status.UNAVAILABLE, says = /^/ }: { readonly code?: status; readonly says?: RegExp } = {},
): Promise<void> {
  const before = service.stats.started;
  const reply = await callerUntilEnd(address).empty(soon());
  assert.equal(reply.code, code, reply.details);
  assert.match(reply.details, says);
  assert.equal(service.stats.started, before);
}

/** A client that is closed after the running test. */
export function callerUntilEnd(address: Address): Caller {
  const caller = new Caller(address);
  afterTest(() => caller.close());
  return caller;
}
