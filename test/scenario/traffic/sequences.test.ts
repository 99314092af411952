/**
 * Requests with the same `sequence_id` go to the same replica, because that has the state of the sequence: the sidecar of
 * the caller reads it from the parameters of the first message.
 */
import assert from 'node:assert/strict';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { KEYLESS_REASONS } from '../../../sidecar/outbound/parameter-key.js';
import { Flag, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { sequenceRequest } from '../../kit/scenario/sequence-request.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aSafeRoute, aStreamRoute } from '../../kit/stack/stack.js';

const STREAM = '/inference.GRPCInferenceService/ModelStreamInfer';
const NAMES = ['a', 'b', 'c'];

const body = (sequence: string | undefined, inputBytes = 40) => sequenceRequest(sequence, { inputBytes });

function start(over = {}): UpstreamStack {
  const balance = { kind: 'ring-hash', hashOn: { parameter: 'sequence_id' } } as const;
  const routes = [aStreamRoute({ methods: [STREAM] }), aSafeRoute()];
  const stack = new UpstreamStack(NAMES, { balance, routes, ...over });
  for (const name of NAMES) stack.backend(name).answer = (stream) => void stream.reply(Buffer.from(name));
  return stack;
}

/** The replica that answers a unary call. */
const homeOf = (stack: UpstreamStack, sequence: string | undefined, inputBytes?: number): string => {
  const call = stack.settle(stack.caller.call({ body: body(sequence, inputBytes) }));
  assert.equal(call.status, 0);
  return call.body.toString();
};

/** A stream that is open at a replica. */
const openAt = (stack: UpstreamStack): string | undefined =>
  NAMES.find((name) =>
    stack.backend(name).requests.some((each) => each.header(':path') === STREAM && !each.isEnded),
  );

const keyless = (stack: UpstreamStack) =>
  KEYLESS_REASONS.filter((reason) => stack.out.outbound.state.parameterKeys.keyless[reason] > 0);

describe('Scenario: sequences', () => {
  it('stay at one replica each, over all of them, and only those of a replica that goes away move', () => {
    const stack = start();
    const homes = new Map<string, string>();
    for (let round = 0; round < 5; round++)
      for (let i = 0; i < 200; i++) {
        const home = homeOf(stack, `s${i}`);
        assert.equal(home, homes.get(`s${i}`) ?? home);
        homes.set(`s${i}`, home);
      }
    for (const name of NAMES) assert.ok([...homes.values()].filter((each) => each === name).length > 30);
    stack.settle(stack.kill('b'));
    for (const [sequence, home] of homes) {
      const now = homeOf(stack, sequence);
      assert.ok(home === 'b' ? now !== 'b' : now === home, `${sequence}: ${home}, ${now}`);
    }
    assert.deepEqual(keyless(stack), []);
    stack.assertIdle();
  });

  it('stay there however busy it is', () => {
    const stack = start();
    const home = homeOf(stack, 'busy');
    stack.backend(home).answer = () => {};
    const before = stack.backend(home).requests.length;
    for (let i = 0; i < 50; i++) stack.settle(stack.caller.call({ body: body('busy') }));
    assert.equal(stack.backend(home).requests.length - before, 50);
  });

  it('are known however the request comes in pieces, and before a long one has come', () => {
    const stack = start();
    const home = homeOf(stack, 'pieces');
    const bytes = body('pieces');
    const call = stack.caller.call({ body: null });
    for (const byte of bytes) stack.settle(call.data(Buffer.from([byte])));
    stack.settle(call.end());
    assert.equal(call.body.toString(), home);
    for (let i = 0; i < 6; i++) assert.equal(homeOf(stack, 'pieces', 600_000), home);
    const long = stack.caller.call({ body: null });
    const seen = stack.backend(home).requests.length;
    stack.settle(long.data(body('pieces', 600_000).subarray(0, 1_000)));
    assert.equal(stack.backend(home).requests.length, seen + 1, 'it has begun');
    assert.deepEqual(keyless(stack), []);
  });

  it('are told by the first message of a stream, which may come late', () => {
    const stack = start();
    const home = homeOf(stack, 'stream');
    const call: PeerStream = stack.settle(stack.caller.call({ path: STREAM, body: null }));
    stack.advance(60_000);
    assert.equal(openAt(stack), undefined, 'nothing says where it belongs');
    stack.settle(call.data(body('stream')));
    assert.equal(openAt(stack), home);
    stack.settle(call.data(body('another')));
    assert.equal(stack.backend(home).last.bytes, 2 * body('stream').length + 1, 'the stream stays');
    stack.settle(call.end());
    assert.equal(call.body.toString(), home);
    stack.assertIdle();
  });

  it('end like any call while nothing says where they belong: cancelled, or at a limit', () => {
    const stack = start();
    const gone = stack.settle(stack.caller.call({ path: STREAM, body: null }));
    stack.settle(gone.reset());
    const late = stack.settle(stack.caller.call({ path: STREAM, body: null, timeout: '2S' }));
    const idle = stack.settle(stack.caller.call({ path: STREAM, body: null }));
    stack.advance(300_001);
    assert.deepEqual([late.reason, idle.reason], ['deadline-exceeded', 'idle-timeout']);
    stack.assertIdle();
  });

  it('are retried elsewhere like any call', () => {
    const stack = start();
    const home = homeOf(stack, 'retried');
    stack.backend(home).answer = (stream) => void stream.fail(14);
    assert.notEqual(homeOf(stack, 'retried'), home);
  });

  it('go where the load says, and are counted, where the parameter cannot be read', () => {
    const long = new MessageWriter()
      .text(1, 'm')
      .message(
        4,
        new MessageWriter().text(1, 'x').message(2, new MessageWriter().text(3, 'y'.repeat(70_000))),
      )
      .finish();
    const compressed = Buffer.concat([Buffer.from([1]), body('z').subarray(1)]);
    const cutOff = body('cut').subarray(0, 12);
    for (const [reason, bytes] of [
      ['absent', body(undefined)],
      ['absent', body(undefined, 600_000)],
      ['beyond', grpcMessage(long)],
      ['compressed', compressed],
      ['malformed', grpcMessage(Buffer.from([0x0b, 1]))],
      ['incomplete', cutOff],
      ['incomplete', Buffer.alloc(0)],
    ] as const) {
      const stack = start();
      const call = stack.caller.call({ body: null });
      stack.settle(call.data(bytes, Flag.endStream));
      assert.equal(call.status, 0, reason);
      assert.deepEqual(keyless(stack), [reason]);
      stack.assertIdle();
    }
  });

  it('of other methods are nothing to read', () => {
    const stack = start();
    const path = '/inference.GRPCInferenceService/ModelMetadata';
    const call = stack.settle(stack.caller.call({ path, body: null }));
    assert.equal(
      NAMES.reduce((sum, name) => sum + stack.backend(name).requests.length, 0),
      1,
      'it waits for nothing',
    );
    stack.settle(call.data(body('x'), Flag.endStream));
    assert.deepEqual([call.status, keyless(stack)], [0, []]);
  });

  it('are read anew when a reload asks for another parameter or for none', () => {
    const stack = start();
    const config = { ...stack.out.outbound.state.config };
    stack.out.outbound.state.update({
      ...config,
      balance: { kind: 'ring-hash', hashOn: { parameter: 'other' } },
    });
    homeOf(stack, 'x');
    assert.deepEqual(keyless(stack), ['absent']);
    stack.out.outbound.state.update({ ...config, balance: { kind: 'round-robin' } });
    assert.equal(new Set([1, 2, 3].map(() => homeOf(stack, 'x'))).size, 3);
  });
});
