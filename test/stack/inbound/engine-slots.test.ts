/** The queue before an engine is as wide as the engine says, with `concurrency: auto`. */
import assert from 'node:assert/strict';
import { readLoadReport } from '../../../sidecar/codec/orca.js';
import { UNKNOWN_SLOTS } from '../../../sidecar/inbound/admission.js';
import { aGenerateRequest, framedRequest, GENERATE } from '../../kit/engines/scripted-engine.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { metricsIn } from '../../kit/stack/metrics.js';
import { ModelStack } from '../../kit/stack/model-stack.js';
import { aStreamRoute, type InboundOptions } from '../../kit/stack/stack.js';

const AUTO = 0;

describe('What an engine says of its load', () => {
  it('is in load reports and metrics, for as long as it is fresh', () => {
    const stack = new ModelStack({ engine: 'vllm', routes: [aStreamRoute()] });
    const { state } = stack.side.inbound;
    const named = () => readLoadReport(state.load.message(stack.clock.now()).subarray(5), () => {})!;
    const ratio = () =>
      metricsIn(stack, { inbound: state }).find(({ name }) => name === 'outrider_engine_cache_used_ratio');
    assert.deepEqual([named().named.get('outrider.engine_running'), ratio()], [undefined, undefined]);
    const load = { running: 7, waiting: 2, usedTokens: 30, mostTokens: 120 };
    state.load.takeEngine(load, stack.clock.now());
    assert.equal(named().named.get('outrider.engine_running'), 7);
    assert.equal(named().named.get('outrider.engine_waiting'), 2);
    assert.equal(named().utilization.get('kv_cache'), 0.25);
    assert.deepEqual(
      ratio()!.samples.map((sample) => ('value' in sample ? sample.value : 0)),
      [0.25],
    );
    stack.advance(6_000);
    assert.deepEqual([named().named.get('outrider.engine_running'), ratio()], [undefined, undefined]);
  });
});

describe('A queue that is as wide as its engine', () => {
  let stack: ModelStack;

  const start = (concurrency = AUTO): void => {
    stack = new ModelStack(optionsOf(concurrency));
  };
  const optionsOf = (concurrency: number): InboundOptions => ({
    ...{ engine: 'vllm', routes: [aStreamRoute()], queue: { concurrency } },
  });
  const ASKED = { path: GENERATE, body: framedRequest(aGenerateRequest()) };
  const call = (): PeerStream => stack.call(ASKED);
  /** How many of forty calls reach the engine. */
  const startedOf40 = (): number => {
    for (let i = 0; i < 40; i++) call();
    return stack.requests.length;
  };
  const say = (slots: number): void => stack.settle(stack.side.inbound.state.setEngineSlots(slots));

  it('lets so many calls through', () => {
    start();
    say(5);
    assert.equal(startedOf40(), 5);
  });

  it('lets some through before the engine has said it, and those that wait once it has', () => {
    start();
    assert.equal(startedOf40(), UNKNOWN_SLOTS);
    say(30);
    assert.equal(stack.requests.length, 30);
    say(0);
    assert.equal(stack.side.backend.queue.concurrency, UNKNOWN_SLOTS);
  });

  it('keeps the place of an answer for which the engine is silent, and gives away that of a caller that does not read', () => {
    start();
    say(1);
    const slow = stack.caller('app', { settings: [[4, 8]], replenishes: false });
    const [first, other] = [stack.call(ASKED), stack.call(ASKED)];
    const [answering] = stack.requests;
    stack.settle(answering!.begin().data(grpcMessage(Buffer.alloc(3))));
    stack.advance(30_000);
    assert.deepEqual([stack.requests.length, other.isOver], [1, false], 'the engine has put it back');
    const inFlight = () => stack.side.instance.activity.report().inFlight;
    assert.equal(inFlight(), 0, 'its silence is no run that hangs');
    stack.settle(answering!.data(grpcMessage(Buffer.alloc(3))));
    assert.equal(inFlight(), 1);
    stack.advance(30_000);
    assert.equal(stack.requests.length, 1);
    stack.settle(answering!.trailers(0));
    assert.deepEqual([first.status, stack.requests.length], [0, 2]);
    stack.settle(stack.requests[1]!.begin().trailers(0));

    const unread = stack.call(ASKED, slow);
    stack.settle(stack.requests[2]!.begin().data(grpcMessage(Buffer.alloc(400_000))));
    stack.call(ASKED);
    assert.deepEqual([unread.bytes, stack.requests.length], [8, 3]);
    stack.advance(1_010);
    assert.equal(stack.requests.length, 4);
  });

  it('goes by the number of the file, if that says one, also after a change of the file', () => {
    start(3);
    say(30);
    assert.equal(startedOf40(), 3);
    stack.reload(optionsOf(AUTO));
    assert.equal(stack.side.backend.queue.concurrency, 30);
  });
});
