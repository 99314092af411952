/** What the interop tests ask of calls beside the cases. */

import assert from 'node:assert/strict';
import { type CallOptions, Metadata, status } from '@grpc/grpc-js';
import { Knob } from '../support/test-service.js';
import { CASES, type Case } from './cases.js';
import type { Caller } from './client.js';
import { LARGE_CASES } from './large-cases.js';
import { MODES, type Mode } from './support-mesh.js';

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

/** For calls that are to fail: not so long that a wait for a connection hides the reason. */
export function soon(): CallOptions {
  return { deadline: Date.now() + 5000 };
}
