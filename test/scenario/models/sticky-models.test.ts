/** Calls for the same model go to the same replica (`hash_on: { model: true }`), as long as its load allows. */
import assert from 'node:assert/strict';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { Flag, grpcMessage } from '../../kit/http2/h2-frames.js';
import { countBy } from '../../kit/scenario/counts.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aSafeRoute, aStreamRoute } from '../../kit/stack/stack.js';

const STREAM = '/inference.GRPCInferenceService/ModelStreamInfer';
const METADATA = '/inference.GRPCInferenceService/ModelMetadata';
const NAMES = ['a', 'b', 'c'];

function start(over = {}): UpstreamStack {
  const balance = { kind: 'ring-hash', hashOn: { model: true } } as const;
  const routes = [aStreamRoute({ methods: [STREAM] }), aSafeRoute()];
  const stack = new UpstreamStack(NAMES, { balance, routes, ...over });
  stack.works();
  return stack;
}

const request = (model: string, bytes = 40) =>
  grpcMessage(new MessageWriter().text(1, model).bytes(7, Buffer.alloc(bytes)).finish());

const homesOf = (stack: UpstreamStack, model: string, n = 20, over = {}): Record<string, number> => {
  const calls = Array.from({ length: n }, () => {
    const call = stack.call({ body: request(model), ...over });
    stack.advance(5);
    return call;
  });
  return countBy(calls, ({ status, body }) => (status === 0 ? body.toString() : `${status}`));
};

describe('Scenario: models that stay at a replica each', () => {
  it('go to one each, over all of them, whatever the method, and only those of a replica that goes away move', () => {
    const stack = start();
    const homes = new Map<string, string>();
    for (let i = 0; i < 60; i++) {
      const [home, ...others] = Object.keys(homesOf(stack, `model-${i}`, 3));
      assert.deepEqual(others, []);
      homes.set(`model-${i}`, home!);
    }
    const spread = countBy([...homes.values()], (home) => home);
    for (const name of NAMES) assert.ok(spread[name]! > 6, JSON.stringify(spread));
    assert.deepEqual(homesOf(stack, 'model-7', 3, { path: METADATA }), { [homes.get('model-7')!]: 3 });
    stack.settle(stack.kill('b'));
    for (const [model, home] of homes) {
      const [now] = Object.keys(homesOf(stack, model, 1));
      assert.ok(home === 'b' ? now !== 'b' : now === home, `${model}: ${home}, ${now}`);
    }
    stack.assertIdle();
  });

  it('are read wherever the name is within the request, in as many pieces as it comes', () => {
    const stack = start();
    const [home] = Object.keys(homesOf(stack, 'words', 1));
    const call = stack.caller.call({ body: null });
    for (const byte of request('words')) stack.settle(call.data(Buffer.from([byte])));
    stack.settle(call.end());
    assert.equal(call.body.toString(), home);
    const stream = stack.settle(stack.caller.call({ path: STREAM, body: null }));
    stack.advance(60_000);
    stack.settle(stream.data(request('words'), Flag.endStream));
    assert.equal(stream.body.toString(), home);
    stack.assertIdle();
  });

  it('leave a replica that has more calls than its share', () => {
    const stack = start();
    stack.answers(() => {});
    for (let i = 0; i < 30; i++) stack.call({ body: request('busy') });
    const counts = NAMES.map((name) => stack.requestsAt(name).length);
    assert.ok(
      counts.every((count) => count >= 3),
      counts.join(),
    );
  });

  it('whose name cannot be told go where the load says, and are counted', () => {
    const stack = start();
    for (const body of [
      request('m'.repeat(64 * 1024)),
      grpcMessage(Buffer.alloc(0)),
      grpcMessage(Buffer.from('ffff', 'hex')),
    ])
      for (let i = 0; i < 3; i++) assert.equal(stack.call({ body }).status, 0);
    assert.equal(stack.out.outbound.state.parameterKeys.keyless.absent, 9);
    assert.equal(stack.requests.length, 9);
    stack.assertIdle();
  });
});
