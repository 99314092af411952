/** How calls ended, in few words. */
import assert from 'node:assert/strict';
import type { PeerStream } from '../http2/scripted-peer.js';

export const statusesOf = (calls: readonly PeerStream[]): number[] => calls.map(({ status }) => status);
export const bodiesOf = (calls: readonly PeerStream[]): string[] => calls.map(({ body }) => body.toString());

/** `grpc-status` and `outrider-reason` of the end of a call. */
export type End = readonly [status: number, reason?: string];
/** Fields of the trailers by name: their value, a pattern of it, or undefined where there is no such field. */
export type Trailers = Readonly<Record<string, string | RegExp | undefined>>;

export function assertEnd(call: PeerStream, [status, reason]: End, trailers: Trailers = {}): void {
  assert.deepEqual([call.status, call.reason], [status, reason]);
  for (const [name, expected] of Object.entries(trailers)) {
    const value = call.trailer(name);
    if (expected instanceof RegExp) assert.match(value ?? '', expected);
    else assert.equal(value, expected);
  }
}

/** A call was refused as never processed, so that it may go elsewhere. */
export function assertUnprocessed(call: PeerStream, end: End, trailers: Trailers = {}): void {
  assertEnd(call, end, { 'outrider-unprocessed': 'true', ...trailers });
}
