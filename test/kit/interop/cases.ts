/**
 * The gRPC interoperability cases that apply to a mesh, as data: a name and a function of a target.
 *
 * Sizes, codes and texts are those of the gRPC project's descriptions, so that a result here means what it means
 * elsewhere. The cloud credentials cases and the cacheable one are about other things than a relay.
 */

import assert from 'node:assert/strict';
import { Metadata, status } from '@grpc/grpc-js';
import type { StreamingInputCallResponse, StreamingOutputCallResponse } from '../service/test-proto.js';
import { Knob } from '../service/test-service.js';
import { type Caller, collect, deadline, finish } from './client.js';
import { largeUnary, zeros } from './large-unary.js';

export interface Case {
  readonly name: string;
  run(caller: Caller): Promise<void>;
}

const INPUT_SIZES = [27_182, 8, 1_828, 45_904];
const OUTPUT_SIZES = [31_415, 9, 2_653, 58_979];
const sizesOf = (messages: readonly StreamingOutputCallResponse[] | undefined): number[] =>
  (messages ?? []).map((message) => message.payload?.body.length ?? 0);

function echoMetadata(): Metadata {
  const metadata = new Metadata();
  metadata.set(Knob.echoInitial, 'test_initial_metadata_value');
  metadata.set(Knob.echoTrailing, Buffer.from('ababab', 'hex'));
  return metadata;
}

function assertEchoed(reply: { initial: Metadata; trailing: Metadata }): void {
  assert.deepEqual(reply.initial.get(Knob.echoInitial), ['test_initial_metadata_value']);
  assert.deepEqual(reply.trailing.get(Knob.echoTrailing), [Buffer.from('ababab', 'hex')]);
}

export const CASES: readonly Case[] = [
  {
    name: 'empty_unary',
    async run(caller) {
      const reply = await caller.empty();
      assert.equal(reply.code, status.OK, reply.details);
      assert.deepEqual(reply.value, {});
    },
  },
  { name: 'large_unary', run: largeUnary },
  {
    name: 'client_streaming',
    async run(caller) {
      const reply = await finish<StreamingInputCallResponse>((done) => {
        const call = caller.stub.StreamingInputCall(new Metadata(), deadline({}), done);
        for (const size of INPUT_SIZES) call.write({ payload: zeros(size) });
        call.end();
        return call;
      });
      assert.equal(reply.code, status.OK, reply.details);
      assert.equal(reply.value?.aggregated_payload_size, 74_922);
    },
  },
  {
    name: 'server_streaming',
    async run(caller) {
      const request = { response_parameters: OUTPUT_SIZES.map((size) => ({ size })) };
      const reply = await collect(caller.stub.StreamingOutputCall(request, new Metadata(), deadline({})));
      assert.equal(reply.code, status.OK, reply.details);
      assert.deepEqual(sizesOf(reply.value), OUTPUT_SIZES);
    },
  },
  {
    name: 'ping_pong',
    async run(caller) {
      const call = caller.stub.FullDuplexCall(new Metadata(), deadline({}));
      const send = (turn: number): void => {
        const size = OUTPUT_SIZES[turn];
        if (size === undefined) call.end();
        else call.write({ response_parameters: [{ size }], payload: zeros(INPUT_SIZES[turn] as number) });
      };
      const ended = collect(call, (_message, all) => send(all.length));
      send(0);
      const reply = await ended;
      assert.equal(reply.code, status.OK, reply.details);
      assert.deepEqual(sizesOf(reply.value), OUTPUT_SIZES);
    },
  },
  {
    name: 'half_duplex',
    async run(caller) {
      const call = caller.stub.HalfDuplexCall(new Metadata(), deadline({}));
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
  },
  {
    name: 'empty_stream',
    async run(caller) {
      const call = caller.stub.FullDuplexCall(new Metadata(), deadline({}));
      call.end();
      const reply = await collect(call);
      assert.equal(reply.code, status.OK, reply.details);
      assert.equal(reply.value?.length, 0);
    },
  },
  {
    name: 'custom_metadata',
    async run(caller) {
      const unary = await caller.unary({ response_size: 314_159, payload: zeros(271_828) }, echoMetadata());
      assert.equal(unary.code, status.OK, unary.details);
      assertEchoed(unary);
      const call = caller.stub.FullDuplexCall(echoMetadata(), deadline({}));
      call.write({ response_parameters: [{ size: 314_159 }], payload: zeros(271_828) });
      call.end();
      const duplex = await collect(call);
      assert.equal(duplex.code, status.OK, duplex.details);
      assertEchoed(duplex);
    },
  },
  {
    name: 'status_code_and_message',
    async run(caller) {
      const echo = { code: 2, message: 'test status message' };
      const unary = await caller.unary({ response_status: echo });
      assert.deepEqual([unary.code, unary.details], [2, 'test status message']);
      const call = caller.stub.FullDuplexCall(new Metadata(), deadline({}));
      const ended = collect(call);
      call.write({ response_parameters: [], response_status: echo });
      call.end();
      const duplex = await ended;
      assert.deepEqual([duplex.code, duplex.details], [2, 'test status message']);
    },
  },
  {
    name: 'special_status_message',
    async run(caller) {
      const message = '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n';
      const reply = await caller.unary({ response_status: { code: 2, message } });
      assert.deepEqual([reply.code, reply.details], [2, message]);
    },
  },
  {
    name: 'status_details',
    async run(caller) {
      const details = Buffer.from('08021204746573740a00ff', 'hex');
      const metadata = new Metadata();
      metadata.set(Knob.statusDetails, details);
      const reply = await caller.unary({ response_status: { code: 9, message: 'no' } }, metadata);
      assert.equal(reply.code, status.FAILED_PRECONDITION);
      assert.deepEqual(reply.trailing.get('grpc-status-details-bin'), [details]);
    },
  },
  {
    name: 'unimplemented_method',
    run: async (caller) => assert.equal((await caller.unimplementedMethod()).code, status.UNIMPLEMENTED),
  },
  {
    name: 'unimplemented_service',
    run: async (caller) => assert.equal((await caller.unimplementedService()).code, status.UNIMPLEMENTED),
  },
  {
    name: 'cancel_after_begin',
    async run(caller) {
      const reply = await finish<StreamingInputCallResponse>((done) => {
        const call = caller.stub.StreamingInputCall(new Metadata(), deadline({}), done);
        setImmediate(() => call.cancel());
        return call;
      });
      assert.equal(reply.code, status.CANCELLED);
    },
  },
  {
    name: 'cancel_after_first_response',
    async run(caller) {
      const call = caller.stub.FullDuplexCall(new Metadata(), deadline({}));
      const ended = collect(call, () => call.cancel());
      call.write({ response_parameters: [{ size: 31_415 }], payload: zeros(27_182) });
      const reply = await ended;
      assert.equal(reply.code, status.CANCELLED);
      assert.deepEqual(sizesOf(reply.value), [31_415]);
    },
  },
  {
    name: 'timeout_on_sleeping_server',
    async run(caller) {
      const call = caller.stub.FullDuplexCall(new Metadata(), { deadline: Date.now() + 1 });
      const ended = collect(call);
      call.write({ response_parameters: [{ size: 31_415, interval_us: 500_000 }], payload: zeros(27_182) });
      assert.equal((await ended).code, status.DEADLINE_EXCEEDED);
    },
  },
  {
    name: 'binary metadata of every octet, repeated keys, values with spaces',
    async run(caller) {
      const octets = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
      const metadata = new Metadata();
      metadata.add(Knob.echoTrailing, octets);
      metadata.add(Knob.echoTrailing, Buffer.alloc(0));
      metadata.add(Knob.echoTrailing, Buffer.from([0]));
      metadata.add('x-repeated', 'one');
      metadata.add('x-repeated', 'two words');
      metadata.set(Knob.reflect, '1');
      const reply = await caller.unary({}, metadata);
      assert.equal(reply.code, status.OK, reply.details);
      assert.deepEqual(reply.trailing.get(Knob.echoTrailing), [octets, Buffer.alloc(0), Buffer.from([0])]);
      const seen = JSON.parse(Buffer.from(String(reply.trailing.get('x-test-seen')[0]), 'base64').toString());
      assert.equal(seen['x-repeated'], 'one, two words');
    },
  },
];
