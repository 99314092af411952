/**
 * An ejected replica is probed by calls of sequences as well, and each of these has its state at one replica: the probe takes no call
 * away from it.
 */
import assert from 'node:assert/strict';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import { Flag } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { type SequenceRequestOptions, sequenceRequest } from '../../kit/scenario/sequence-request.js';
import { isCheck, says, UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { anAnswer } from '../../kit/service/infer-answers.js';
import { aRoute, aSafeRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const NAMES = ['a', 'b', 'c'];
const OUT_MS = 30_000;
const BALANCE = { balance: { kind: 'ring-hash', hashOn: { parameter: 'sequence_id' } } } as const;
const METADATA = '/inference.GRPCInferenceService/ModelMetadata';

/** Replicas at their places, for a sidecar at its own. */
function placed(own: string, places: Readonly<Record<string, string>>): UpstreamOptions {
  const endpoints = NAMES.map((id) => {
    const address = { kind: 'tcp', host: id, port: 1 } as const;
    return { address, weight: 1, id, locality: places[id]! };
  });
  return { endpoints, locality: { own, spillBelow: 0.7 } };
}

describe('Scenario: the probe of an ejected replica beside sequences', () => {
  let stack: UpstreamStack;
  let isServing: boolean;
  let failing: ReadonlySet<string>;

  const call = (sequence: string | undefined, options?: SequenceRequestOptions): PeerStream =>
    stack.call({ body: sequenceRequest(sequence, options) });
  const homeOf = (sequence: string): string => {
    const stream = call(sequence);
    assert.equal(stream.status, 0, sequence);
    return stream.body.toString();
  };
  const isOut = (): boolean => stack.states[0] !== 'eligible';
  const inferencesAt = (name: string): number =>
    stack.requestsAt(name).filter((stream) => !isCheck(stream)).length;

  /** `a` is ejected and well again; its time is over. Sequences that it had, and that the others had all along. */
  const start = (over = {}): { readonly moved: string[]; readonly others: string[] } => {
    stack = new UpstreamStack(NAMES, { ...BALANCE, routes: [aRoute()], ...over });
    isServing = true;
    failing = new Set();
    for (const name of NAMES)
      stack.answers((stream) => {
        if (isCheck(stream)) says(isServing)(stream);
        else if (failing.has(name)) stream.fail(14);
        else stream.reply(Buffer.from(name));
      }, name);
    const all = Array.from({ length: 60 }, (_, i) => `s${i}`);
    const moved = all.filter((sequence) => homeOf(sequence) === 'a');
    failing = new Set(['a']);
    for (const sequence of moved.slice(0, 5)) call(sequence);
    assert.equal(stack.states[0], 'ejected');
    failing = new Set();
    stack.advance(OUT_MS);
    stack.backend('a').requests.length = 0;
    return { moved, others: all.filter((sequence) => !moved.includes(sequence)) };
  };

  it('is no call of a sequence that another replica has, and the replica comes back all the same', () => {
    const { others } = start();
    const homes = new Map(others.map((sequence) => [sequence, homeOf(sequence)]));
    let rounds = 0;
    for (; isOut(); rounds++) {
      for (const sequence of others) assert.equal(homeOf(sequence), homes.get(sequence));
      assert.ok(rounds < 140, 'it is back by its health check');
      stack.advance(100);
    }
    assert.equal(inferencesAt('a'), 0);
    assert.ok(rounds > 50, 'calls had the time to be the probe');
    for (const sequence of others) assert.equal(homeOf(sequence), homes.get(sequence));
  });

  it('is the first call of a sequence that the replica will have', () => {
    const { moved, others } = start();
    assert.notEqual(call(others[0], { isStart: true }).body.toString(), 'a');
    assert.ok(isOut());
    assert.equal(call(moved[0], { isStart: true }).body.toString(), 'a');
    assert.ok(!isOut());
    assert.equal(homeOf(moved[0]!), 'a', 'it stays there');
  });

  it('is such a call also where its request is large and takes a while', () => {
    const { moved } = start();
    const body = sequenceRequest(moved[0], { isStart: true, inputBytes: 600_000 });
    const stream = stack.call({ body: null });
    stack.settle(stream.data(body.subarray(0, 100_000)));
    stack.advance(200);
    assert.equal(stack.requests.filter((each) => !each.isOver).length, 0, 'it waits for the rest');
    stack.settle(stream.data(body.subarray(100_000), Flag.endStream));
    assert.deepEqual([stream.body.toString(), isOut()], ['a', false]);
  });

  it('makes no call wait for its request that may not be the probe', () => {
    const { others } = start();
    const stream = stack.call({ body: null });
    stack.settle(stream.data(sequenceRequest(others[0], { inputBytes: 600_000 }).subarray(0, 100_000)));
    const begun = stack.requestsAt('b', 'c').filter((each) => !each.isOver);
    assert.equal(begun.length, 1);
    stack.settle(stream.reset());
  });

  it('is a call without a sequence', () => {
    start();
    assert.equal(stack.call({ path: METADATA }).body.toString(), 'a');
    assert.ok(!isOut());
  });

  it('is a later call of a sequence that the replica will have where its health check does not pass', () => {
    const { moved, others } = start();
    isServing = false;
    stack.advance(19_900);
    for (const sequence of moved) assert.notEqual(homeOf(sequence), 'a');
    stack.advance(200);
    for (const sequence of others) assert.notEqual(homeOf(sequence), 'a');
    assert.equal(homeOf(moved[0]!), 'a');
    assert.ok(!isOut());
  });

  /** `a` is ejected, and each replica is at its place from now on. */
  const startAt = (own: string, places: Readonly<Record<string, string>>): ReturnType<typeof start> => {
    const sequences = start();
    stack.update({ ...BALANCE, ...placed(own, places) });
    stack.advance(100);
    assert.ok(isOut());
    return sequences;
  };

  it('is the call of any sequence where the replica would be the only near one', () => {
    const { others } = startAt('near', { a: 'near', b: 'far', c: 'far' });
    assert.equal(call(others[0], { isStart: true }).body.toString(), 'a');
    assert.ok(!isOut());
    for (const sequence of others) assert.equal(homeOf(sequence), 'a');
  });

  it('is the call of a sequence that the replica would have beside others of its region', () => {
    const { moved, others } = startAt('eu/1', { a: 'eu/2', b: 'eu/3', c: 'us/1' });
    assert.notEqual(call(others[0], { isStart: true }).body.toString(), 'a');
    assert.equal(call(moved[0], { isStart: true }).body.toString(), 'a');
    assert.ok(!isOut());
  });

  it('is no call of a sequence that nearer replicas have', () => {
    startAt('near', { a: 'far', b: 'near', c: 'near' });
    for (let i = 0; i < 60; i++) assert.notEqual(call(`n${i}`, { isStart: true }).body.toString(), 'a');
    assert.ok(isOut());
  });
});

describe('Scenario: a replica of sequences whose answers are invalid, and whose health check passes', () => {
  const GOOD = anAnswer([0.1, 0.9]);
  const BAD = anAnswer([Number.NaN, 0.9]);
  const SEQUENCES = Array.from({ length: 15 }, (_, i) => `s${i}`);
  const DETECTORS = {
    invalidOutput: { mode: 'enforce', above: 0.5, minSamples: 20, sampleRatio: 1 },
  } as const;
  const UPSTREAM = { ...BALANCE, routes: [aSafeRoute()], ejection: { detectors: DETECTORS } };
  let stack: UpstreamStack;
  let isWell: boolean;

  const isOut = (): boolean => stack.states[0] !== 'eligible';
  const inferences = (): number => stack.requestsAt('a').filter((stream) => !isCheck(stream)).length;
  /** One call of each sequence within a second; none is the first of its own. */
  const round = (): void => {
    for (const sequence of SEQUENCES) {
      const { status } = stack.call({ body: sequenceRequest(sequence) });
      assert.equal(status, 0);
      stack.advance(66);
    }
  };
  /** `a` is ejected, and its time is over. */
  const start = (): void => {
    stack = new UpstreamStack(NAMES, UPSTREAM);
    isWell = false;
    for (const name of NAMES)
      stack.answers((stream) => {
        if (isCheck(stream)) says(true)(stream);
        else stream.reply(name === 'a' && !isWell ? BAD : GOOD);
      }, name);
    for (let rounds = 0; !isOut(); rounds++) {
      assert.ok(rounds < 30, 'it is ejected');
      round();
    }
    whenDue();
  };
  const whenDue = (): void => {
    const { untilMs } = stack.endpoint('a').ejection;
    stack.advance(untilMs - stack.clock.now());
    stack.backend('a').requests.length = 0;
  };

  it('gets one call of a sequence, which decides', () => {
    start();
    for (let i = 0; i < 19; i++) round();
    assert.deepEqual([inferences(), isOut()], [0, true]);
    for (let i = 0; i < 5; i++) round();
    assert.deepEqual([inferences(), isOut()], [1, true]);
    isWell = true;
    whenDue();
    for (let i = 0; i < 22; i++) round();
    assert.ok(!isOut() && inferences() > 1);
  });

  it('comes back by its health check where nearer replicas have the sequences', () => {
    start();
    stack.update({ ...UPSTREAM, ...placed('near', { a: 'far', b: 'near', c: 'near' }) });
    for (let i = 0; i < 14; i++) round();
    assert.deepEqual([inferences(), stack.endpoint('a').ejection.state], [0, EjectionState.admitted]);
  });
});
