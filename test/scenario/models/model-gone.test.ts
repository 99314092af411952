/** The model of one replica is gone, and its sidecar says so: it is ejected without five failed calls. */
import assert from 'node:assert/strict';
import type { Field } from '../../kit/http2/hpack-lite.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { isCheck, says, UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import type { UpstreamOptions } from '../../kit/stack/stack.js';

describe('Scenario: a sidecar says that its model cannot serve', () => {
  let stack: UpstreamStack;

  const start = (names: readonly string[], over: UpstreamOptions = {}): void => {
    stack = new UpstreamStack(names, over);
    for (const name of names) well(name);
  };
  /** A pool of three without the model of `a`. */
  const startWithoutA = (over: UpstreamOptions = {}): void => {
    start(['a', 'b', 'c'], over);
    gone('a');
  };
  const well = (name: string): void =>
    stack.answers(
      (stream) => void (isCheck(stream) ? says(true)(stream) : stream.reply(Buffer.from(name))),
      name,
    );
  const gone = (...names: string[]): void =>
    stack.answers((stream) => (isCheck(stream) ? says(false) : refuse)(stream), ...names);
  const REFUSAL: readonly Field[] = [
    ['outrider-reason', 'model-unavailable'],
    ['outrider-unprocessed', '1'],
  ];
  const refuse = (stream: PeerStream): void => void stream.fail(14, REFUSAL);
  /** A call each 50 ms, none of which fails. */
  const loadFor = (forMs: number): void => {
    for (let ms = 0; ms < forMs; ms += 50) {
      assert.notEqual(calls(1)[0], '14');
      stack.advance(50);
    }
  };
  /** The name of the endpoint that answered each of so many calls; failures by their status. */
  const calls = (count: number): string[] =>
    Array.from({ length: count }, () => {
      const { status, body } = stack.call();
      return status === 0 ? body.toString() : `${status}`;
    });
  const checked = (name: string): number => stack.requestsAt(name).filter(isCheck).length;
  const asked = (name: string): number => stack.requestsAt(name).length - checked(name);

  it('gets no call after the first one, which is answered elsewhere', () => {
    startWithoutA();
    assert.deepEqual([...new Set(calls(60))].sort(), ['b', 'c']);
    assert.equal(asked('a'), 1);
    assert.match(stack.endpoint('a').ejection.why, /its sidecar says that its model cannot serve/);
  });

  it('is probed as soon as it says that it serves, and takes its share with the first answer', () => {
    startWithoutA();
    calls(6);
    stack.advance(20_000);
    assert.ok(!calls(6).includes('a'));
    const { state, untilMs } = stack.report('a');
    assert.deepEqual([state, untilMs], ['ejected', undefined], 'for an unknown time');
    well('a');
    stack.advance(600);
    assert.equal(calls(30).filter((name) => name === 'a').length, 10);
    const before = checked('a');
    stack.advance(60_000);
    assert.equal(checked('a'), before, 'endpoints that serve are not probed');
    stack.assertIdle();
  });

  it('costs no further call while it says no, and about two questions a second', () => {
    startWithoutA();
    loadFor(20_000);
    assert.equal(asked('a'), 1);
    assert.ok(checked('a') >= 33 && checked('a') <= 50, String(checked('a')));
    const family = stack.health.metrics().find(({ name }) => name === 'outrider_recovery_checks_total');
    const failed = family?.samples.find(({ labels }) => labels['result'] === 'failed');
    assert.deepEqual(failed, { labels: { upstream: 'digits', result: 'failed' }, value: checked('a') });
  });

  it('is asked no more once its upstream is gone', () => {
    startWithoutA();
    calls(6);
    stack.advance(5_000);
    stack.out.outbound.state.retire();
    stack.advance(5_000);
    const { size } = stack.context.wheel;
    const before = checked('a');
    stack.advance(60_000);
    assert.equal(checked('a'), before);
    const timers = stack.context.wheel.size;
    assert.ok(timers <= size && timers <= 1, `${timers} timers`);
  });

  it('is asked less often when it says that it serves and does not', () => {
    startWithoutA();
    stack.answers((stream) => (isCheck(stream) ? says(true) : refuse)(stream), 'a');
    loadFor(20_000);
    assert.ok(asked('a') >= 5 && asked('a') <= 10, String(asked('a')));
  });

  it('is probed at its own interval, ever more rarely, when its sidecar says nothing', () => {
    startWithoutA();
    stack.answers((stream) => (isCheck(stream) ? undefined : refuse(stream)), 'a');
    loadFor(15_000);
    assert.equal(asked('a'), 1 + 4, 'after 0.5, 1.5, 3.5 and 7.5 s; the next one comes at 15.5 s');
  });

  it('does so though most of the pool goes: one that can serve is enough', () => {
    start(['a', 'b', 'c', 'd']);
    gone('a', 'b', 'c');
    calls(12);
    assert.deepEqual([...new Set(calls(40))], ['d']);
    assert.deepEqual([asked('a'), asked('b'), asked('c')], [1, 1, 1]);
  });

  it('passes its reason on to callers when there is no other endpoint', () => {
    start(['a']);
    gone('a');
    assert.deepEqual(calls(3), ['14', '14', '14']);
    well('a');
    assert.deepEqual(calls(3), ['a', 'a', 'a']);
  });

  it('is believed within the mesh only', () => {
    startWithoutA({ tls: 'plaintext' });
    calls(12);
    assert.equal(asked('a'), 4, 'which counts four faults in a row of the five it takes');
  });
});
