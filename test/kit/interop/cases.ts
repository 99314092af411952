/**
 * The gRPC interoperability cases that apply to a mesh, as data: a name and a function of a target.
 *
 * Sizes, codes and texts are those of the gRPC project's descriptions, so that a result here means what it means
 * elsewhere. The cloud credentials cases and the cacheable one are about other things than a relay.
 */

import assert from 'node:assert/strict';
import { Metadata, status } from '@grpc/grpc-js';
import type { StreamingInputCallResponse, StreamingOutputCallResponse } from '../service/test-proto.js';
import { Knob, zeros } from '../service/test-service.js';
import { type Caller, collect, deadline, finish, metadataOf, type Reply } from './client.js';

export interface Case {
  readonly name: string;
  run(caller: Caller): Promise<void>;
}

export function assertOk({ code, details }: Reply<unknown>): void {
  assert.equal(code, status.OK, details);
}

/** The request metadata as the service got it, of a call that asked for it. */
export const reflected = ({ trailing }: Reply<unknown>): Record<string, unknown> =>
  JSON.parse(Buffer.from(String(trailing.get('x-test-seen')[0]), 'base64').toString());

export const casesOf = (runs: Readonly<Record<string, Case['run']>>): Case[] =>
  Object.entries(runs).map(([name, run]) => ({ name, run }));

/** The `large_unary` case, which others repeat. */
export async function largeUnary(caller: Caller): Promise<void> {
  const reply = await caller.unary({ response_size: 314_159, payload: zeros(271_828) });
  assertOk(reply);
  assert.equal(reply.value?.payload?.body.length, 314_159);
  assert.ok(reply.value?.payload?.body.every((byte) => byte === 0));
}

const INPUT_SIZES = [27_182, 8, 1_828, 45_904];
const OUTPUT_SIZES = [31_415, 9, 2_653, 58_979];
const sizesOf = (messages: readonly StreamingOutputCallResponse[] | undefined): number[] =>
  (messages ?? []).map((message) => message.payload?.body.length ?? 0);

const [INITIAL, TRAILING] = ['test_initial_metadata_value', Buffer.from('ababab', 'hex')];
const echoMetadata = (): Metadata =>
  metadataOf({ [Knob.echoInitial]: INITIAL, [Knob.echoTrailing]: TRAILING });

function assertEchoed(reply: { initial: Metadata; trailing: Metadata }): void {
  assert.deepEqual(reply.initial.get(Knob.echoInitial), [INITIAL]);
  assert.deepEqual(reply.trailing.get(Knob.echoTrailing), [TRAILING]);
}

export const CASES: readonly Case[] = casesOf({
  async empty_unary(caller) {
    const reply = await caller.empty();
    assertOk(reply);
    assert.deepEqual(reply.value, {});
  },
  large_unary: largeUnary,
  async client_streaming(caller) {
    const reply = await finish<StreamingInputCallResponse>((done) => {
      const call = caller.stub.StreamingInputCall(new Metadata(), deadline(), done);
      for (const size of INPUT_SIZES) call.write({ payload: zeros(size) });
      call.end();
      return call;
    });
    assertOk(reply);
    assert.equal(reply.value?.aggregated_payload_size, 74_922);
  },
  async server_streaming(caller) {
    const request = { response_parameters: OUTPUT_SIZES.map((size) => ({ size })) };
    const reply = await collect(caller.stub.StreamingOutputCall(request, new Metadata(), deadline()));
    assertOk(reply);
    assert.deepEqual(sizesOf(reply.value), OUTPUT_SIZES);
  },
  async ping_pong(caller) {
    const call = caller.duplex();
    const send = (turn: number): void => {
      const size = OUTPUT_SIZES[turn];
      if (size === undefined) call.end();
      else call.write({ response_parameters: [{ size }], payload: zeros(INPUT_SIZES[turn] as number) });
    };
    const ended = collect(call, (_message, all) => send(all.length));
    send(0);
    const reply = await ended;
    assertOk(reply);
    assert.deepEqual(sizesOf(reply.value), OUTPUT_SIZES);
  },
  async half_duplex(caller) {
    const call = caller.stub.HalfDuplexCall(new Metadata(), deadline());
    let sent = 0;
    let early = false;
    const ended = collect(call, () => {
      early ||= sent < OUTPUT_SIZES.length;
    });
    for (const size of OUTPUT_SIZES) {
      call.write({ response_parameters: [{ size }] });
      sent += 1;
    }
    call.end();
    const reply = await ended;
    assert.deepEqual(sizesOf(reply.value), OUTPUT_SIZES);
    assert.equal(early, false);
  },
  async empty_stream(caller) {
    const reply = await caller.converse([]);
    assertOk(reply);
    assert.equal(reply.value?.length, 0);
  },
  async custom_metadata(caller) {
    const unary = await caller.unary({ response_size: 314_159, payload: zeros(271_828) }, echoMetadata());
    assertOk(unary);
    assertEchoed(unary);
    const request = { response_parameters: [{ size: 314_159 }], payload: zeros(271_828) };
    const duplex = await caller.converse([request], echoMetadata());
    assertOk(duplex);
    assertEchoed(duplex);
  },
  async status_code_and_message(caller) {
    const echo = { code: 2, message: 'test status message' };
    const unary = await caller.unary({ response_status: echo });
    assert.deepEqual([unary.code, unary.details], [2, 'test status message']);
    const duplex = await caller.converse([{ response_parameters: [], response_status: echo }]);
    assert.deepEqual([duplex.code, duplex.details], [2, 'test status message']);
  },
  async special_status_message(caller) {
    const message = '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n';
    const reply = await caller.unary({ response_status: { code: 2, message } });
    assert.deepEqual([reply.code, reply.details], [2, message]);
  },
  async status_details(caller) {
    const details = Buffer.from('08021204746573740a00ff', 'hex');
    const metadata = metadataOf({ [Knob.statusDetails]: details });
    const reply = await caller.unary({ response_status: { code: 9, message: 'no' } }, metadata);
    assert.equal(reply.code, status.FAILED_PRECONDITION);
    assert.deepEqual(reply.trailing.get('grpc-status-details-bin'), [details]);
  },
  unimplemented_method: async (caller) =>
    assert.equal((await caller.unimplementedMethod()).code, status.UNIMPLEMENTED),
  unimplemented_service: async (caller) =>
    assert.equal((await caller.unimplementedService()).code, status.UNIMPLEMENTED),
  async cancel_after_begin(caller) {
    const reply = await finish<StreamingInputCallResponse>((done) => {
      const call = caller.stub.StreamingInputCall(new Metadata(), deadline(), done);
      setImmediate(() => call.cancel());
      return call;
    });
    assert.equal(reply.code, status.CANCELLED);
  },
  async cancel_after_first_response(caller) {
    const call = caller.duplex();
    const ended = collect(call, () => call.cancel());
    call.write({ response_parameters: [{ size: 31_415 }], payload: zeros(27_182) });
    const reply = await ended;
    assert.equal(reply.code, status.CANCELLED);
    assert.deepEqual(sizesOf(reply.value), [31_415]);
  },
  async timeout_on_sleeping_server(caller) {
    const call = caller.duplex(new Metadata(), { deadline: Date.now() + 1 });
    const ended = collect(call);
    call.write({ response_parameters: [{ size: 31_415, interval_us: 500_000 }], payload: zeros(27_182) });
    assert.equal((await ended).code, status.DEADLINE_EXCEEDED);
  },
  async 'binary metadata of every byte, repeated keys, values with spaces'(caller) {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const values = [bytes, Buffer.alloc(0), Buffer.from([0])];
    const metadata = metadataOf({ [Knob.reflect]: '1' });
    for (const value of values) metadata.add(Knob.echoTrailing, value);
    for (const value of ['one', 'two words']) metadata.add('x-repeated', value);
    const reply = await caller.unary({}, metadata);
    assertOk(reply);
    assert.deepEqual(reply.trailing.get(Knob.echoTrailing), values);
    assert.equal(reflected(reply)['x-repeated'], 'one, two words');
  },
});
