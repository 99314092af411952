/** Prompts go to the engine that was sent most of their beginning (`balance: { kind: prefix }`), as long as its load allows. */
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
const PREFIX: UpstreamOptions = { balance: { kind: 'prefix' }, engine: 'vllm', routes: [aStreamRoute()] };
/** Tokens of what all chats begin with, and of a turn. */
const SYSTEM = 40;
const TURN = 100;

/** The prompt of a turn of a chat: the turns before, and a new one. */
const idsOf = (chat: number, turn: number): number[] => [
  ...Array.from({ length: SYSTEM }, (_, i) => i + 3),
  ...Array.from({ length: turn * TURN }, (_, i) => 1_000 * (chat + 1) + i),
];
const turnOf = (chat: number, turn: number): Buffer =>
  framedRequest(
    aGenerateRequest({
      request_id: `r-${chat}-${turn}`,
      tokenized: { original_text: '', input_ids: idsOf(chat, turn) },
    }),
  );

describe('Scenario: prompts and what engines have of them', () => {
  let stack: UpstreamStack;

  const start = (more: UpstreamOptions = {}, names: readonly string[] = NAMES): void => {
    stack = new UpstreamStack(names, { ...PREFIX, ...more });
    stack.answers((stream) => (stream.header(':path') === GENERATE ? finish(stream) : stream.fail(12)));
  };
  const finish = (stream: PeerStream): void =>
    void stream
      .begin()
      .data(Buffer.concat(messagesFor(requestIn(stream.body), () => 1)))
      .trailers(0);
  /** Which engine has the call that is made now. */
  const homeOf = (body: Buffer): string => {
    const before = NAMES.map((name) => stack.requestsAt(name).length);
    const call = stack.call({ path: GENERATE, body });
    assert.equal(call.status, 0, call.reason);
    return NAMES.find((name, i) => stack.requestsAt(name).length > before[i]!)!;
  };
  const blocksAt = (name: string): number => stack.endpoint(name).sentBlocks?.capacity ?? 0;

  it('keep the turns of a chat at one engine, and spread the chats', () => {
    start();
    const homes = new Map<number, string>();
    // As many first turns as are under way at once spread by load.
    const open: PeerStream[] = [];
    stack.answers((stream) => void open.push(stream));
    for (let chat = 0; chat < 24; chat++) {
      const before = NAMES.map((name) => stack.requestsAt(name).length);
      stack.call({ path: GENERATE, body: turnOf(chat, 1) });
      homes.set(chat, NAMES.find((name, i) => stack.requestsAt(name).length > before[i]!)!);
    }
    const spread = countBy([...homes.values()], (home) => home);
    for (const name of NAMES) assert.ok(spread[name]! >= 5, JSON.stringify(spread));
    stack.answers(finish);
    for (const stream of open) stack.settle(finish(stream));
    for (let turn = 2; turn <= 4; turn++)
      for (const [chat, home] of homes)
        assert.equal(homeOf(turnOf(chat, turn)), home, `${chat}, turn ${turn}`);
    stack.assertIdle();
  });

  it('go elsewhere when their engine dies, stay there, and are not drawn back', () => {
    start();
    const home = homeOf(turnOf(1, 1));
    stack.settle(stack.kill(home));
    const next = homeOf(turnOf(1, 2));
    assert.notEqual(next, home);
    assert.equal(homeOf(turnOf(1, 3)), next);
    stack.assertIdle();
  });

  it('go elsewhere with another attempt, and from then on', () => {
    start({
      routes: [
        aStreamRoute({
          idempotent: true,
          retry: { attempts: 2, on: [14], backoff: { baseMs: 1, maxMs: 1 } },
        }),
      ],
    });
    const home = homeOf(turnOf(1, 1));
    stack.answers((stream) => stream.fail(14), home);
    const call = stack.call({ path: GENERATE, body: turnOf(1, 2) });
    stack.advance(20);
    assert.equal(call.status, 0, call.reason);
    stack.answers(finish, home);
    // Both were sent turn 2: none of them is wrong, and no third one is asked.
    const third = NAMES.find((name) => stack.requestsAt(name).length === 0)!;
    for (let turn = 3; turn <= 6; turn++) assert.notEqual(homeOf(turnOf(1, turn)), third);
    stack.assertIdle();
  });

  it('go on at another engine when theirs dies within an answer, each token once, and their next turn goes there', () => {
    start();
    const home = homeOf(turnOf(1, 1));
    let died = 0;
    stack.answers((stream) => {
      if (died++ > 0 || stream.header(':path') !== GENERATE) return finish(stream);
      const half = messagesFor(requestIn(stream.body), () => 1).slice(0, 5);
      stream.begin().data(Buffer.concat(half));
      stream.peer.socket.break();
    });
    const request = aGenerateRequest({ tokenized: { original_text: '', input_ids: idsOf(1, 2) } });
    const others = NAMES.filter((name) => name !== home);
    const call = stack.call({ path: GENERATE, body: framedRequest(request) });
    stack.advance(300);
    assert.equal(call.status, 0, call.reason);
    assert.deepEqual(
      readAnswer(call.body).ids,
      tokensFor(request).map(({ id }) => id),
    );
    const heir = others.find((name) => stack.requestsAt(name).length > 0)!;
    stack.settle(stack.kill(home));
    assert.equal(homeOf(turnOf(1, 3)), heir);
    stack.assertIdle();
  });

  it('send a second copy of a late call to another engine', () => {
    const hedge = { percentile: 0.9, minDelayMs: 5, maxRatio: 1 } as const;
    start({ routes: [aStreamRoute({ idempotent: true, hedge })], budget: { ratio: 1, perSecond: 100 } });
    const home = homeOf(turnOf(1, 1));
    stack.answers((stream) => void stack.clock.after(20, () => finish(stream)));
    for (let i = 0; i < 40; i++) {
      stack.call({ path: GENERATE, body: turnOf(50 + i, 1) });
      stack.advance(50);
    }
    stack.answers(() => {}, home);
    const before = stack.requestsAt(home).length;
    const call = stack.call({ path: GENERATE, body: turnOf(1, 2) });
    stack.advance(500);
    assert.equal(stack.requestsAt(home).length, before + 1);
    assert.equal(call.status, 0, 'the copy was answered elsewhere');
    stack.assertIdle();
  });

  it('are forgotten with another kind of balancer, another size of the table, and with their endpoint', () => {
    start();
    const home = homeOf(turnOf(1, 1));
    assert.equal(blocksAt(home), 8_192);
    stack.update({ ...PREFIX, balance: { kind: 'prefix' } });
    assert.equal(blocksAt(home), 8_192, 'the same file again');
    stack.update({ ...PREFIX, balance: { kind: 'prefix', cacheTokens: 32_768 } });
    assert.equal(blocksAt(home), 0);
    homeOf(turnOf(1, 2));
    assert.ok(NAMES.some((name) => blocksAt(name) === 1_024));
    stack.update({ ...PREFIX, balance: { kind: 'round-robin' } });
    for (let turn = 1; turn < 7; turn++) homeOf(turnOf(2, turn));
    assert.deepEqual(NAMES.map(blocksAt), [0, 0, 0]);
    stack.update(PREFIX);
    const again = homeOf(turnOf(1, 3));
    stack.update(
      PREFIX,
      NAMES.filter((name) => name !== again),
    );
    assert.notEqual(homeOf(turnOf(1, 4)), again);
    stack.update(PREFIX);
    assert.equal(blocksAt(again), 0);
    stack.assertIdle();
  });

  it('take no more memory where endpoints join, and the last of them are still known', () => {
    const names = Array.from({ length: 16 }, (_, i) => `e${i}`);
    const most: UpstreamOptions = { ...PREFIX, balance: { kind: 'prefix', cacheTokens: 67_108_864 } };
    start(most, names);
    const { cluster } = stack.out;
    const blocks = Uint32Array.from({ length: 40 }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
    stack.update(most, names.slice(0, 1));
    for (let count = 1; count <= 16; count *= 2) {
      stack.update(most, names.slice(0, count));
      for (const endpoint of cluster.endpoints)
        if (endpoint.sentBlocks === null) cluster.balancer.recordPrompt!(endpoint, blocks, count, 5);
      const capacities = cluster.endpoints.map(({ sentBlocks }) => sentBlocks!.capacity);
      const inAll = capacities.reduce((sum, each) => sum + each);
      assert.equal(inAll, 2_097_152, `${count} endpoints`);
      for (const { id, sentBlocks } of cluster.endpoints) assert.equal(sentBlocks!.match(blocks, 4), 40, id);
    }
    const before = cluster.endpoints.map(({ sentBlocks }) => sentBlocks);
    for (const some of [names.slice(0, 15), names.slice(0, 9)]) stack.update(most, some);
    assert.deepEqual(
      cluster.endpoints.map(({ sentBlocks }) => sentBlocks),
      before.slice(0, 9),
      'fewer endpoints, or as many',
    );
  });

  it('are told however their request is cut into pieces, as text too, and those that cannot be told are counted', () => {
    start();
    const home = homeOf(turnOf(5, 2));
    const call = stack.caller.call({ path: GENERATE, body: null });
    const before = stack.requestsAt(home).length;
    for (const byte of turnOf(5, 3)) stack.settle(call.data(Buffer.from([byte])));
    stack.settle(call.end());
    assert.deepEqual([call.status, stack.requestsAt(home).length], [0, before + 1]);
    stack.answers((stream) => stream.reply(Buffer.from('x')));
    const ofText = (text: string): Buffer => framedRequest({ request_id: 'r', text, stream: true });
    const counts = (): number[] => NAMES.map((name) => stack.requestsAt(name).length);
    const then = counts();
    for (let turn = 1; turn < 5; turn++)
      stack.call({ path: GENERATE, body: ofText('What is the weather like? '.repeat(20 * turn)) });
    assert.deepEqual(
      counts()
        .map((count, i) => count - then[i]!)
        .sort(),
      [0, 0, 4],
    );
    const { keyless } = stack.out.outbound.state.parameterKeys;
    const packed = Buffer.concat([Buffer.from([1, 0, 0, 0, 0]), gzipSync(encodeRequest(aGenerateRequest()))]);
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
    for (let i = 0; i < 60; i++) stack.call({ path: GENERATE, body: turnOf(1, 20) });
    const counts = NAMES.map((name) => stack.requestsAt(name).length);
    assert.ok(Math.max(...counts) <= 42, counts.join());
  });

  it('do not move calls of other methods', () => {
    start();
    stack.answers((stream) => stream.reply(Buffer.from('x')));
    homeOf(turnOf(1, 1));
    const ask = { path: '/vllm.grpc.engine.VllmEngine/GetModelInfo', body: grpcMessage(Buffer.alloc(0)) };
    for (let i = 0; i < 60; i++) {
      assert.equal(stack.call(ask).status, 0);
      stack.advance(20);
    }
    const counts = NAMES.map((name) => stack.requestsAt(name).length);
    assert.ok(Math.min(...counts) > 5, counts.join());
  });
});
