/** What calls stick by changes while they wait for their request: they go by what is in force then. */
import assert from 'node:assert/strict';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import type { UpstreamConfig } from '../../../sidecar/config/model.js';
import {
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  requestIn,
} from '../../kit/engines/scripted-engine.js';
import { Flag, grpcMessage } from '../../kit/http2/h2-frames.js';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { resultOf } from '../../kit/scenario/counts.js';
import { DiscoveredUpstream, endpoint } from '../../kit/scenario/discovered-upstream.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aSafeRoute, aStreamRoute, PATH } from '../../kit/stack/stack.js';

type BalanceConfig = UpstreamConfig['balance'];

const NAMES = ['a', 'b', 'c', 'd', 'e'];
const TOKENS = 8;

const HASHES = {
  prompt: { kind: 'ring-hash', hashOn: { prompt: { tokens: TOKENS } } },
  parameter: { kind: 'ring-hash', hashOn: { parameter: 'sequence_id' } },
  model: { kind: 'ring-hash', hashOn: { model: true } },
} as const satisfies Record<string, BalanceConfig>;
const OTHERS = {
  'round-robin': { kind: 'round-robin' },
  'least-loaded': { kind: 'least-loaded' },
  prefix: { kind: 'prefix' },
  'a metadata key': { kind: 'ring-hash', key: 'x-session' },
} as const satisfies Record<string, BalanceConfig>;

const PROMPT = framedRequest(
  aGenerateRequest({
    tokenized: { original_text: '', input_ids: Array.from({ length: TOKENS }, (_, i) => i + 7) },
  }),
);
const SEQUENCE = new MessageWriter().text(1, 'sequence_id').message(2, new MessageWriter().text(3, 's-1'));
const INFER = grpcMessage(
  new MessageWriter().text(1, 'words').message(4, SEQUENCE).bytes(7, Buffer.alloc(40)).finish(),
);

describe('Scenario: a reload changes what waiting calls stick by', () => {
  let stack: UpstreamStack;
  const routes = [aStreamRoute({ methods: [GENERATE] }), aSafeRoute()];

  const start = (balance: BalanceConfig, engine: boolean): void => {
    stack = new UpstreamStack(NAMES, { balance, routes, ...(engine ? { engine: 'vllm' } : {}) });
    stack.answers((stream) => (stream.header(':path') === GENERATE ? generate(stream) : stream.reply()));
  };
  const change = (balance: BalanceConfig, engine: boolean): void =>
    stack.update({ balance, routes, ...(engine ? { engine: 'vllm' } : {}) });
  const generate = (stream: PeerStream): void =>
    void stream
      .begin()
      .data(Buffer.concat(messagesFor(requestIn(stream.body), () => 4)))
      .trailers(0);

  interface Waiting {
    readonly path: string;
    readonly body: Buffer;
    readonly metadata?: readonly Field[];
  }
  const homes = (act: () => void): string[] => {
    const before = NAMES.map((name) => stack.requestsAt(name).length);
    act();
    return NAMES.filter((name, i) => stack.requestsAt(name).length > before[i]!);
  };
  /** It waits as the change comes. */
  const waitOver = ({ path, body, metadata = [] }: Waiting, act: () => void): string[] => {
    const call = stack.settle(stack.caller.call({ path, body: null, metadata }));
    // Less than the name of the model.
    stack.settle(call.data(body.subarray(0, 6)));
    assert.equal(stack.requests.length, 0);
    act();
    return homes(() => {
      stack.settle(call.data(body.subarray(6), Flag.endStream));
      assert.equal(call.status, 0, call.reason);
    });
  };

  for (const engine of [false, true])
    for (const [kind, balance] of Object.entries(HASHES)) {
      if (kind === 'prompt' && !engine) continue;
      const waiting = kind === 'prompt' ? { path: GENERATE, body: PROMPT } : { path: PATH, body: INFER };
      const where = engine ? ' of an engine' : '';
      for (const [name, other] of Object.entries(OTHERS))
        it(`from ${kind} to ${name}${where}: the call goes by that`, () => {
          start(balance, engine);
          const metadata: readonly Field[] = [['x-session', 'mine']];
          const home = waitOver({ ...waiting, metadata }, () => change(other, engine));
          assert.equal(home.length, 1);
          if (name === 'a metadata key')
            for (let i = 0; i < 4; i++)
              assert.deepEqual(
                homes(() => stack.call({ ...waiting, metadata })),
                home,
              );
          stack.assertIdle();
        });
      for (const [name, other] of Object.entries(HASHES)) {
        if (name === kind) continue;
        it(`from ${kind} to ${name}${where}: the call goes by that`, () => {
          start(balance, engine);
          const home = waitOver(waiting, () => change(other, engine));
          assert.equal(home.length, 1);
          if ((kind === 'prompt') === (name === 'prompt'))
            for (let i = 0; i < 4; i++)
              assert.deepEqual(
                homes(() => stack.call(waiting)),
                home,
              );
          stack.assertIdle();
        });
      }
      it(`from round-robin to ${kind}${where}: a call that waits for its request goes there`, () => {
        start({ kind: 'round-robin' }, engine);
        const call = stack.settle(stack.caller.call({ ...waiting, body: null }));
        change(balance, engine);
        stack.settle(call.data(waiting.body, Flag.endStream));
        assert.equal(call.status, 0, call.reason);
        stack.assertIdle();
      });
    }

  it('a call that goes where the load says goes by the prompt, once that is asked for', () => {
    start({ kind: 'least-loaded' }, true);
    const home = waitOver({ path: GENERATE, body: PROMPT }, () => change(HASHES.prompt, true));
    for (let i = 0; i < 4; i++)
      assert.deepEqual(
        homes(() => stack.call({ path: GENERATE, body: PROMPT })),
        home,
      );
    stack.assertIdle();
  });

  it('five such calls are no defects of the sidecar', () => {
    start(HASHES.prompt, true);
    const calls = Array.from({ length: 5 }, () =>
      stack.settle(stack.caller.call({ path: GENERATE, body: null })),
    );
    change({ kind: 'prefix' }, true);
    for (const call of calls) stack.settle(call.data(PROMPT, Flag.endStream));
    for (const call of calls) assert.equal(call.status, 0, call.reason);
    stack.assertIdle();
  });

  describe('as the registry says', () => {
    let mesh: DiscoveredUpstream;
    const endpoints = NAMES.map(endpoint);
    const metadata: readonly Field[] = [['x-session', 'mine']];
    const TO_MAIN = [{ weight: 1, cluster: '' }];

    const begin = (path: string, body: Buffer): PeerStream => {
      mesh = new DiscoveredUpstream({ balance: HASHES.model, routes: [aSafeRoute()] });
      mesh.apply({ '': { endpoints } });
      const call = mesh.call({ path, body: null, metadata });
      mesh.stack.settle(call.data(body.subarray(0, 6)));
      return call;
    };
    const finish = (call: PeerStream, body: Buffer): string => {
      mesh.stack.settle(call.data(body.subarray(6), Flag.endStream));
      assert.equal(call.status, 0, call.reason);
      return call.body.toString();
    };

    it('a hash policy that appears is that of calls that wait', () => {
      const call = begin(PATH, INFER);
      mesh.apply({ '': { endpoints, hashKey: 'x-session' } });
      const home = finish(call, INFER);
      assert.deepEqual(mesh.calls(5, { metadata }), { [home]: 5 });
    });

    it('a rule that appears is that of calls that wait, and they keep it', () => {
      const call = begin(PATH, INFER);
      const other = { endpoints: [endpoint('z')] };
      mesh.apply({ '': { endpoints }, other }, [{ split: [{ weight: 1, cluster: 'other' }] }]);
      assert.equal(finish(call, INFER), 'z');
      assert.equal(resultOf(mesh.call({ body: INFER })), 'z');
    });

    it('a call that waits again after a change goes by the last one', () => {
      const call = begin(PATH, INFER);
      mesh.apply({ '': { endpoints } }, [{ split: TO_MAIN, timeoutMs: 9_000 }]);
      mesh.stack.settle(call.data(INFER.subarray(6, 7)));
      mesh.apply({ '': { endpoints, hashKey: 'x-session' } }, [{ split: TO_MAIN }]);
      mesh.stack.settle(call.data(INFER.subarray(7), Flag.endStream));
      assert.equal(call.status, 0, call.reason);
      assert.deepEqual(mesh.calls(5, { metadata }), { [call.body.toString()]: 5 });
    });
  });
});
