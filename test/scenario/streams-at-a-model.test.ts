/**
 * Streams and unary calls at one model. A stream lasts as long as it likes: its life says nothing about how long an
 * inference takes.
 */
import assert from 'node:assert/strict';
import type { PeerStream } from '../relay/kit/scripted-peer.js';
import {
  type App,
  anInbound,
  aRoute,
  aStreamRoute,
  type CallOptions,
  type InboundOptions,
  type InboundStack,
  MESSAGE,
  Stack,
} from '../relay/kit/stack.js';

const TALK = '/talk.Service/Talk';
const RUN_MS = 5;

describe('Scenario: streams at a model', () => {
  let stack: Stack;
  let side: InboundStack;
  let app: App;

  const start = (over: InboundOptions = {}): void => {
    stack = new Stack();
    const routes = [aStreamRoute({ methods: ['/talk.Service/*'] }), aRoute()];
    side = stack.inbound(anInbound({ routes, ...over }));
    app = stack.app(side.listener, 'app');
    side.model.answer = (stream) => void stack.clock.after(RUN_MS, () => stream.reply());
  };
  const call = (options: CallOptions = {}): PeerStream => {
    const stream = app.call({ timeout: '1S', ...options });
    stack.run();
    return stream;
  };
  /** A stream in both directions that has said something: the caller’s end and the model’s. */
  const talk = (): readonly [PeerStream, PeerStream] => {
    const near = app.call({ path: TALK, body: null });
    near.data(MESSAGE);
    stack.run();
    const far = side.model.last;
    far.begin();
    stack.run();
    return [near, far];
  };
  const end = (near: PeerStream, far: PeerStream): void => {
    far.trailers(0);
    near.end();
    stack.run();
  };
  /** Unary calls, one every `everyMs`; by status. */
  const load = (count: number, everyMs: number): Record<number, number> => {
    const calls: PeerStream[] = [];
    for (let i = 0; i < count; i++) {
      calls.push(call());
      stack.advance(everyMs);
    }
    stack.advance(2_000);
    const found: Record<number, number> = {};
    for (const { status } of calls) found[status] = (found[status] ?? 0) + 1;
    return found;
  };
  afterEach(() => stack.close());

  it('a long one teaches nobody how long an inference takes', () => {
    start();
    load(50, RUN_MS + 1);
    const [near, far] = talk();
    for (let i = 0; i < 600; i++) {
      far.data(MESSAGE);
      stack.advance(1_000);
    }
    end(near, far);
    const { serviceMs } = side.inbound.queue;
    const { usualMs } = side.inbound.evidence();
    assert.ok(serviceMs <= RUN_MS && usualMs <= RUN_MS, `${serviceMs} and ${usualMs} ms`);
    // More than the places there are, so that some have to wait; none is told that it would wait too long.
    assert.deepEqual(load(60, 2), { 0: 60 });
  });
});
