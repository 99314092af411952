/** Calls whose prompts begin alike go to the same engine (`hash_on: { prompt: … }`), as long as its load allows. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import {
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  readAnswer,
  requestIn,
  tokensFor,
} from '../../kit/engines/scripted-engine.js';
import { encodeRequest } from '../../kit/engines/vllm-messages.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { countBy } from '../../kit/scenario/counts.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { aStreamRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const NAMES = ['a', 'b', 'c'];
const TOKENS = 16;

/** A prompt of `TOKENS` ids that are those of `group`, and others after them. */
const promptOf = (group: number, tail: readonly number[] = []): Buffer => {
  const shared = Array.from({ length: TOKENS }, (_, i) => 1_000 * group + i);
  const tokenized = { original_text: `${group} ${tail}`, input_ids: [...shared, ...tail] };
  return framedRequest(aGenerateRequest({ request_id: `r-${group}-${tail}`, tokenized }));
};

describe('Scenario: prompts that begin alike', () => {
  let stack: UpstreamStack;

  const start = (more: UpstreamOptions = {}): void => {
    const balance = { kind: 'ring-hash', hashOn: { prompt: { tokens: TOKENS } } } as const;
    stack = new UpstreamStack(NAMES, { balance, engine: 'vllm', routes: [aStreamRoute()], ...more });
    stack.answers((stream) => (stream.header(':path') === GENERATE ? finish(stream) : stream.fail(12)));
  };
  const finish = (stream: PeerStream): void =>
    void stream
      .begin()
      .data(Buffer.concat(messagesFor(requestIn(stream.body), () => 1)))
      .trailers(0);
  /** Which engine had the call that was made last. */
  const homeOf = (body: Buffer, over = {}): string => {
    const before = NAMES.map((name) => stack.requestsAt(name).length);
    const call = stack.call({ path: GENERATE, body, ...over });
    assert.equal(call.status, 0);
    return NAMES.find((name, i) => stack.requestsAt(name).length > before[i]!)!;
  };

  it('go to one engine, and others are spread over all', () => {
    start();
    const homes = new Map<number, string>();
    for (let group = 0; group < 60; group++) {
      const all = [0, 1, 2].map((n) => homeOf(promptOf(group, [n, n + 7])));
      assert.equal(new Set(all).size, 1, all.join());
      homes.set(group, all[0]!);
    }
    const spread = countBy([...homes.values()], (home) => home);
    for (const name of NAMES) assert.ok(spread[name]! > 6, JSON.stringify(spread));
    stack.settle(stack.kill('b'));
    for (const [group, home] of homes) {
      const now = homeOf(promptOf(group));
      assert.ok(home === 'b' ? now !== 'b' : now === home, `${group}: ${home}, ${now}`);
    }
    stack.assertIdle();
  });

  it('are computed by one engine each, where the load alone would spread them', () => {
    const GROUPS = 5;
    const computed = (more: UpstreamOptions): number => {
      start(more);
      const known = new Set<string>();
      for (let n = 0; n < 48; n++) {
        const group = n % GROUPS;
        known.add(`${group} at ${homeOf(promptOf(group, [n]))}`);
      }
      return known.size;
    };
    assert.equal(computed({}), GROUPS);
    assert.ok(computed({ balance: { kind: 'round-robin' } }) > 2 * GROUPS);
  });

  it('are told however their request is cut into pieces, and those that cannot be told are counted', () => {
    start();
    const home = homeOf(promptOf(5));
    const call = stack.caller.call({ path: GENERATE, body: null });
    const before = stack.requestsAt(home).length;
    for (const byte of promptOf(5, [9])) stack.settle(call.data(Buffer.from([byte])));
    stack.settle(call.end());
    assert.deepEqual([call.status, stack.requestsAt(home).length], [0, before + 1]);
    const { keyless } = stack.out.outbound.state.parameterKeys;
    stack.answers((stream) => stream.reply(Buffer.from('x')));
    const request = encodeRequest(aGenerateRequest());
    const packed = Buffer.concat([Buffer.from([1, 0, 0, 0, 0]), gzipSync(request)]);
    packed.writeUInt32BE(packed.length - 5, 1);
    stack.call({ path: GENERATE, body: packed });
    stack.call({ path: GENERATE, body: grpcMessage(Buffer.alloc(0)) });
    stack.call({ path: GENERATE, body: grpcMessage(Buffer.from('ffff', 'hex')) });
    assert.deepEqual([keyless.compressed, keyless.absent, keyless.malformed], [1, 1, 1]);
    stack.assertIdle();
  });

  it('leave an engine that has more calls than its share', () => {
    start();
    stack.answers(() => {});
    for (let i = 0; i < 30; i++) stack.call({ path: GENERATE, body: promptOf(1, [i]) });
    const counts = NAMES.map((name) => stack.requestsAt(name).length);
    assert.ok(
      counts.every((count) => count >= 3),
      counts.join(),
    );
  });

  it('go on at another engine when theirs dies, each token once', () => {
    start();
    const home = homeOf(promptOf(3));
    let died = 0;
    stack.answers((stream) => {
      if (died++ > 0 || stream.header(':path') !== GENERATE) return finish(stream);
      const half = messagesFor(requestIn(stream.body), () => 1).slice(0, 5);
      stream.begin().data(Buffer.concat(half));
      stream.peer.socket.break();
    });
    const request = aGenerateRequest({ tokenized: requestIn(promptOf(3)).tokenized! });
    const call = stack.call({ path: GENERATE, body: framedRequest(request) });
    stack.advance(300);
    assert.equal(call.status, 0, call.reason);
    assert.deepEqual(
      readAnswer(call.body).ids,
      tokensFor(request).map(({ id }) => id),
    );
    assert.ok(NAMES.some((name) => name !== home && stack.requestsAt(name).length > 0));
    stack.assertIdle();
  });
});
