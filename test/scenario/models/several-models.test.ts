/**
 * Endpoints that serve models of different speed, or methods, in different proportions. All are well, so none is slow; one
 * that is slow for its model is found among those that serve the same.
 */
import assert from 'node:assert/strict';
import { protocols } from '../../../proto/load.js';
import { reportsOf } from '../../../sidecar/app/endpoint-report.js';
import { DetectorPool } from '../../kit/scenario/detector-pool.js';
import { anInferRequest } from '../../kit/service/infer-requests.js';
import { aRoute, type CallOptions, type UpstreamOptions } from '../../kit/stack/stack.js';

const METADATA = '/inference.GRPCInferenceService/ModelMetadata';
const MIB = 1024 * 1024;

describe('Scenario: several models behind one upstream', () => {
  let pool: DetectorPool;

  /** `ms` by model, of all endpoints; at one endpoint other times than that. */
  const open = (
    ms: Record<string, number>,
    over: UpstreamOptions & { readonly at?: Record<string, Record<string, number>> } = {},
    answer = (name: string): Buffer => Buffer.from(name),
  ): void => {
    const { at = {}, ...options } = over;
    const routes = [aRoute({ replayBytes: MIB })];
    pool = new DetectorPool(['a', 'b', 'c'], { routes, ...options });
    const { requestDeserialize } = protocols().inference.ModelInfer;
    for (const name of pool.names)
      pool.backend(name).answer = (stream) => {
        const { model_name: model } = requestDeserialize(stream.body.subarray(5));
        const key = stream.header(':path') === METADATA ? 'metadata' : model;
        pool.clock.after(at[name]?.[key] ?? ms[key]!, () => stream.reply(answer(name)));
      };
  };
  const call = (model: string, key?: string): CallOptions => {
    const body = anInferRequest(model);
    return key === undefined ? { body } : { body, metadata: [['x-model', key]] };
  };
  /** These calls in turn. */
  const load = (count: number, calls: readonly CallOptions[], everyMs = 20): void => {
    for (let i = 0; i < count; i++) pool.load(1, everyMs, calls[i % calls.length]!);
  };
  /** Calls of one model go to one endpoint. */
  const keysOf = (): Record<string, string> => {
    const keys: Record<string, string> = {};
    for (let i = 0; i < 40; i++) {
      const [name] = Object.keys(pool.load(1, 150, call('quick', `m${i}`)));
      keys[name!] ??= `m${i}`;
    }
    pool.advance(11_000);
    return keys;
  };
  const ratios = (): (string | undefined)[] =>
    reportsOf(pool.out.cluster, pool.clock.now()).map((each) => each.latencyRatio?.toFixed(1));
  const states = (): string => pool.states.join(' ');
  const ALL_IN = 'eligible eligible eligible';

  it('each at an endpoint of its own, by ring hash: no endpoint is blamed for the slower model', () => {
    open({ quick: 20, slow: 100 }, { balance: { kind: 'ring-hash', key: 'x-model' } });
    const { a, b, c } = keysOf();
    load(300, [call('quick', a), call('slow', b), call('quick', c)], 60);
    assert.equal(states(), ALL_IN);
    for (const ratio of ratios()) assert.equal(ratio ?? '1.0', '1.0');
  });

  it('in turn, where the turns of models and of endpoints coincide: none is ejected', () => {
    open({ quick: 10, slow: 100, slowest: 200 });
    load(450, [call('quick'), call('slow'), call('slowest')]);
    assert.equal(states(), ALL_IN);
  });

  it('beside a method that is far quicker, each at its endpoint: none is ejected', () => {
    open({ digits: 100, metadata: 5 });
    const about = { path: METADATA, body: anInferRequest('digits') };
    load(450, [call('digits'), about, about]);
    assert.equal(states(), ALL_IN);
  });

  it('is slow for one of them, which most of its calls are for: it alone is ejected', () => {
    open({ quick: 10, slow: 60 }, { at: { b: { slow: 300 } } });
    load(600, [call('slow'), call('slow'), call('slow'), call('quick')]);
    assert.equal(states(), 'eligible ejected eligible');
    assert.match(pool.report('b').why, /^median latency [23]\d\d\.\d ms over \d+ calls, [45]\.\d times/);
  });

  it('is slow for the quick one, though no slower than others are for the slow one: out', () => {
    open({ quick: 10, slow: 60 }, { at: { c: { quick: 60 } } });
    load(600, [call('quick'), call('quick'), call('quick'), call('slow')]);
    assert.equal(states(), 'eligible eligible ejected');
  });

  for (const [what, body, answer] of [
    ['requests larger than what is kept', anInferRequest('slow', MIB + 9), 'short'],
    ['answers larger than what is held', anInferRequest('slow'), 'long'],
  ] as const) {
    it(`with ${what}: their model was noted before`, () => {
      open({ quick: 10, slow: 60 }, { at: { b: { slow: 300 } } }, (name) =>
        answer === 'long' ? Buffer.alloc(70_000) : Buffer.from(name),
      );
      load(75, [{ body }], 100);
      assert.equal(states(), 'eligible ejected eligible');
    });
  }

  it('each at its own, with large requests and large answers: none is ejected', () => {
    open({ quick: 10, slow: 100, slowest: 200 }, {}, () => Buffer.alloc(70_000));
    const large = (model: string): CallOptions => ({ body: anInferRequest(model, MIB + 9) });
    load(75, [large('quick'), large('slow'), large('slowest')], 100);
    load(75, [call('quick'), call('slow'), call('slowest')], 100);
    assert.equal(states(), ALL_IN);
  });

  it('compressed, so that the model is unknown: calls of one method and size are compared, as of one model', () => {
    open({});
    const compressed = Buffer.from(anInferRequest('slow'));
    compressed[0] = 1;
    for (const name of pool.names) pool.works(name, name === 'b' ? 60 : 10);
    load(150, [{ body: compressed }]);
    assert.equal(states(), 'eligible ejected eligible');
  });

  it('requests of which nothing was buffered: they might be for any model, and no latency is compared', () => {
    open({ quick: 10, slow: 100, slowest: 200 });
    const { memory } = pool.context;
    const taken = memory.limit - memory.held;
    memory.reserve(taken);
    load(450, [call('quick'), call('slow'), call('slowest')]);
    assert.equal(states(), ALL_IN);
    assert.deepEqual(new Set(ratios()), new Set([undefined]));
    memory.release(taken);
  });
});
