/**
 * Callers of language-model engines have budgets of tokens. Calls come, leave, end, break, move to another engine and find other limits:
 * no caller uses more than its budget, each answer is paid once, and in the end nothing is set aside.
 */
import assert from 'node:assert/strict';
import type { GenerateRequest } from '../../../proto/vllm-service.js';
import type { InboundConfig } from '../../../sidecar/config/model.js';
import {
  aGenerateRequest,
  framedRequest,
  GENERATE,
  messagesFor,
  readAnswer,
  requestIn,
} from '../../kit/engines/scripted-engine.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { runs } from '../../kit/mocha/effort.js';
import { Mesh } from '../../kit/scenario/mesh-in-memory.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import { aStreamRoute, type InboundOptions } from '../../kit/stack/stack.js';
import { seeded } from '../../kit/time/seeded-random.js';

const PER_MINUTE = 600;
const STEPS = 400;
const ROUTES = [aStreamRoute()];
const limitedTo = (tokensPerMinute: number): NonNullable<InboundConfig['rateLimits']> => [
  { callers: ['*'], methods: ['*'], tokensPerMinute },
];
const requestFor = (prompt: number, maxTokens: number): GenerateRequest =>
  aGenerateRequest({
    tokenized: { input_ids: Array.from({ length: prompt }, (_, i) => i + 1) },
    sampling_params: { temperature: 0, max_tokens: maxTokens, ignore_eos: true },
  });

describe('Scenario: callers of an engine have budgets of tokens', () => {
  for (let seed = 1; seed <= runs(3); seed++)
    it(`that hold, whatever becomes of their calls (seed ${seed})`, () => {
      const random = seeded(seed);
      const upTo = (n: number): number => Math.floor(random() * n);
      const config = (): InboundOptions => ({
        ...{ engine: 'vllm', routes: ROUTES },
        intentions: [{ from: '*', to: 'digits', action: 'allow' }],
        rateLimits: limitedTo(PER_MINUTE - upTo(2) * 100),
        queue: {
          concurrency: 1 + upTo(4),
          maxWaiting: upTo(10),
          ...(upTo(2) === 0 ? {} : { cost: 'tokens', maxWaitingTokens: 1 + upTo(1_000) }),
        },
      });
      const stack = new ModelStack(config());
      const { side, clock } = stack;
      const { ledger } = side.inbound.state.limits;
      const apps = ['web', 'batch', 'cron'].map((name) => ({ name, app: stack.caller(name) }));
      const startMs = clock.now();
      /** Calls of each app, and what each costs. */
      const calls: { readonly name: string; readonly stream: PeerStream; readonly cost: number }[] = [];
      /** How many messages each request at the engine has been answered with. */
      const answered = new Map<PeerStream, number>();
      const over = new Set<PeerStream>();
      const running = (): PeerStream[] =>
        stack.requests.filter((each) => each.isEnded && each.resetCode === undefined && !over.has(each));
      const more = (stream: PeerStream, count: number): void => {
        const messages = messagesFor(requestIn(stream.body), () => 1);
        const from = answered.get(stream) ?? 0;
        if (from === 0) stream.begin();
        const next = messages.slice(from, from + count);
        answered.set(stream, from + next.length);
        if (next.length > 0) stream.data(Buffer.concat(next));
        if (from + next.length < messages.length) return;
        stream.trailers(0);
        over.add(stream);
      };
      /** What has come of an answer, in tokens: its last message repeats some. */
      const tokensOf = (stream: PeerStream): number => readAnswer(stream.body).ids.length;

      const act: readonly (() => void)[] = [
        ...new Array<() => void>(6).fill(() => {
          const { name, app } = apps[upTo(3)]!;
          const [prompt, maxTokens] = [1 + upTo(100), 1 + upTo(200)];
          const body = framedRequest(requestFor(prompt, maxTokens));
          const timeout = ['50m', '2S', '60S'][upTo(3)]!;
          calls.push({ name, stream: app.call({ path: GENERATE, body, timeout }), cost: prompt + maxTokens });
        }),
        ...new Array<() => void>(10).fill(() => {
          const all = running();
          if (all.length > 0) more(all[upTo(all.length)]!, 1 + upTo(80));
        }),
        () => {
          const all = running();
          const stream = all[upTo(all.length)];
          if (stream === undefined) return;
          over.add(stream);
          if (answered.has(stream)) stream.trailers([13, 14, 4][upTo(3)]!);
          else if (upTo(2) === 0) stream.fail(13);
          else stream.reset(7);
        },
        // Its caller leaves.
        () => {
          const { stream } = calls[upTo(calls.length)] ?? {};
          if (stream !== undefined && !stream.isOver) stream.reset();
        },
        () => {
          if (upTo(4) > 0) return;
          for (const peer of side.model.open) peer.socket.break();
          for (const stream of stack.requests) over.add(stream);
          stack.settle(side.instance.setState({ kind: 'ready' }));
        },
        () => stack.reload(config()),
        () => stack.advance(upTo(3_000)),
      ];
      for (let i = 0; i < STEPS; i++) {
        act[upTo(act.length)]!();
        stack.advance(upTo(20));
        const brought = PER_MINUTE * (1 + (clock.now() - startMs) / 60_000);
        for (const { name } of apps) {
          const own = calls.filter((call) => call.name === name);
          const got = own.reduce((sum, { stream }) => sum + tokensOf(stream), 0);
          const largest = Math.max(0, ...own.map(({ cost }) => cost));
          assert.ok(got <= brought, `${name} got ${got} of ${brought} (step ${i})`);
          assert.ok(largest <= 300);
        }
      }
      assert.ok(calls.some(({ stream }) => stream.reason === 'rate-limited'));
      assert.ok(calls.some(({ stream }) => stream.status === 0));
      for (const { stream } of calls) if (!stream.isOver) stream.reset();
      stack.advance(60_000);
      assert.equal(ledger.reserved, 0);
    });

  describe('at two engines', () => {
    const start = (perMinute: number): Mesh =>
      new Mesh({
        ...{ replicas: 2, routes: ROUTES, balance: 'round-robin' },
        inbound: { engine: 'vllm', rateLimits: limitedTo(perMinute), queue: { concurrency: 8 } },
        upstream: { engine: 'vllm', budget: { ratio: 1, perSecond: 1_000 } },
      });
    /** The engines answer by hand. */
    const open = (mesh: Mesh, request: GenerateRequest): PeerStream => {
      for (const { model } of mesh.replicas) model.answer = () => {};
      const stream = mesh.app.call({ path: GENERATE, body: framedRequest(request) });
      mesh.stack.run();
      return stream;
    };
    const reservedAt = (mesh: Mesh): number[] =>
      mesh.replicas.map(({ side }) => side.inbound.state.limits.ledger.reserved);
    const generates = (mesh: Mesh, n: number): PeerStream[] =>
      mesh.replicas[n]!.model.requests.filter((stream) => stream.header(':path') === GENERATE);
    const answer = (stream: PeerStream): Buffer[] => messagesFor(requestIn(stream.body), () => 1);

    it('an answer that moves to another one reserves there what it still needs, and frees the rest where it was', () => {
      const mesh = start(1_000);
      const request = requestFor(10, 90);
      const call = open(mesh, request);
      const [first] = generates(mesh, 0);
      assert.deepEqual(reservedAt(mesh), [100, 0]);
      mesh.stack.settle(first!.begin().data(Buffer.concat(answer(first!).slice(0, 31))));
      mesh.stack.settle(first!.trailers(13));
      mesh.advance(500);
      const [second] = generates(mesh, 1);
      // The last token is made once more.
      const { tokenized, sampling_params: sampling } = requestIn(second!.body);
      assert.deepEqual([tokenized!.input_ids!.length, sampling!.max_tokens], [40, 60]);
      assert.deepEqual(reservedAt(mesh), [0, 100]);
      mesh.stack.settle(
        second!
          .begin()
          .data(Buffer.concat(answer(second!)))
          .trailers(0),
      );
      assert.equal(call.status, 0);
      assert.equal(readAnswer(call.body).ids.length, 90);
      assert.deepEqual(reservedAt(mesh), [0, 0]);
    });

    it('a call that is tried again is paid where it is answered, and once', () => {
      const mesh = start(100);
      const call = open(mesh, requestFor(10, 90));
      mesh.stack.settle(generates(mesh, 0)[0]!.fail(14));
      mesh.advance(500);
      assert.deepEqual(reservedAt(mesh), [0, 100]);
      mesh.stack.settle(generates(mesh, 1)[0]!.fail(14));
      mesh.advance(500);
      // Whichever it is, the engine has all of its tokens again.
      const where = reservedAt(mesh).indexOf(100);
      assert.deepEqual([generates(mesh, where).length, reservedAt(mesh)[1 - where]], [2, 0]);
      const again = generates(mesh, where)[1]!;
      mesh.stack.settle(
        again
          .begin()
          .data(Buffer.concat(answer(again)))
          .trailers(0),
      );
      assert.equal(call.status, 0);
      assert.deepEqual(reservedAt(mesh), [0, 0]);
    });

    it('a call that is over its budget at one goes to another, and is refused when both have none', () => {
      const mesh = start(100);
      const calls = Array.from({ length: 3 }, () => open(mesh, requestFor(10, 90)));
      assert.deepEqual(reservedAt(mesh), [100, 100]);
      assert.deepEqual(
        calls.map(({ reason }) => reason),
        [undefined, undefined, 'rate-limited'],
      );
      for (const call of calls) if (!call.isOver) mesh.stack.settle(call.reset());
      assert.deepEqual(reservedAt(mesh), [0, 0]);
    });

    it('an answer whose engine breaks ends there when its caller has no tokens left at the others', () => {
      const mesh = start(100);
      const [moving, other] = [open(mesh, requestFor(10, 90)), open(mesh, requestFor(10, 90))];
      const [first] = generates(mesh, 0);
      mesh.stack.settle(first!.begin().data(Buffer.concat(answer(first!).slice(0, 31))));
      mesh.stack.settle(first!.trailers(13));
      mesh.advance(500);
      // The first engine has too few tokens left for all of it, as it made some, and the second has none.
      assert.deepEqual([moving.status, moving.reason], [14, 'not-resumed']);
      assert.equal(readAnswer(moving.body).ids.length, 31);
      assert.deepEqual([generates(mesh, 0).length, generates(mesh, 1).length], [1, 1]);
      mesh.stack.settle(other.reset());
      assert.deepEqual(reservedAt(mesh), [0, 0]);
    });

    it('a request for more than a minute has is not tried at another', () => {
      const mesh = start(100);
      const call = open(mesh, requestFor(10, 2 ** 32 - 1));
      assert.deepEqual([call.status, call.reason], [8, 'rate-limited']);
      assert.equal(call.trailer('grpc-retry-pushback-ms'), '-1');
      const refused = mesh.replicas.map(({ side }) => side.inbound.state.limits.rates!.refused);
      assert.deepEqual(refused, [1, 0]);
    });
  });
});
