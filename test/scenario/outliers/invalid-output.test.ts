/**
 * One replica answers with NaN. Its answers are sampled, the same requests are put to a peer, and when that one does
 * better the replica is charged and ejected. When it is the input that is bad, no endpoint is.
 */
import assert from 'node:assert/strict';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import { UpstreamStack } from '../../kit/scenario/upstream-stack.js';
import { anAnswer } from '../../kit/service/infer-answers.js';
import { aRoute, aSafeRoute, type UpstreamOptions } from '../../kit/stack/stack.js';

const GOOD = anAnswer([0.1, 0.9]);
const BAD = anAnswer([Number.NaN, 0.9]);
const SHORT = anAnswer([0.1]);

describe('Scenario: invalid output', () => {
  let stack: UpstreamStack;
  const open = (over: UpstreamOptions = {}): void => {
    const detectors = {
      invalidOutput: { mode: 'enforce', above: 0.5, minSamples: 20, sampleRatio: 1 },
    } as const;
    const routes = [aSafeRoute()];
    stack = new UpstreamStack(['a', 'b', 'c'], { routes, ...over, ejection: { detectors } });
    answerWith(GOOD);
  };
  const answerWith = (body: Buffer, ...names: readonly string[]): void =>
    stack.answers((stream) => void stream.reply(body), ...names);
  const load = (count: number, everyMs = 100): void => {
    for (let i = 0; i < count; i++) {
      const call = stack.caller.call();
      stack.advance(everyMs);
      assert.equal(call.status, 0);
    }
  };
  const counts = () => stack.out.cluster.sweep!.inspector!.counts;

  it('ejects the one whose answers are none, by the word of its peers', () => {
    open();
    answerWith(BAD, 'b');
    load(90);
    assert.deepEqual(stack.states, ['eligible', 'ejected', 'eligible']);
    const why = /^\d+ of \d+ sampled answers in 60 s are invalid.*last: output "scores": 1 of 2 numbers/;
    assert.match(stack.report('b').why, why);
    assert.ok(counts().charged >= 20 && counts().acquitted === 0);
    assert.ok(counts().inOrder >= 40);
  });

  it('ejects the one whose answers have another form', () => {
    open();
    answerWith(SHORT, 'c');
    load(90);
    assert.deepEqual(stack.states, ['eligible', 'eligible', 'ejected']);
  });

  it('ejects none for inputs that all endpoints answer so', () => {
    open();
    answerWith(BAD);
    load(120);
    assert.deepEqual(stack.states, ['eligible', 'eligible', 'eligible']);
    assert.ok(counts().acquitted >= 100);
    assert.equal(counts().charged, 0);
  });

  it('charges nothing that may not be sent again', () => {
    open({ routes: [aRoute()] });
    answerWith(BAD, 'b');
    load(90);
    assert.deepEqual(stack.states, ['eligible', 'eligible', 'eligible']);
    assert.equal(counts().unproven, 30);
    assert.equal(stack.backend('a').requests.length, 30, 'and nothing has been');
  });

  it('passes on what it cannot read, and counts it', () => {
    open();
    const bodies = [grpcMessage(Buffer.from('no message')), grpcMessage(Buffer.alloc(0)), GOOD];
    for (const [i, name] of ['a', 'b', 'c'].entries()) answerWith(bodies[i]!, name);
    const seen = new Set<string>();
    for (let i = 0; i < 30; i++) {
      const call = stack.caller.call();
      stack.advance(100);
      assert.equal(call.status, 0);
      seen.add(call.body.toString('hex'));
    }
    assert.deepEqual([...seen].sort(), bodies.map((body) => body.toString('hex')).sort(), 'to the octet');
    assert.ok(counts().unreadable >= 10);
    assert.deepEqual(stack.states, ['eligible', 'eligible', 'eligible']);
  });

  it('looks at a few answers a second, however many there are', () => {
    open();
    load(2_000, 1);
    const { inOrder, charged, acquitted, unproven, unreadable } = counts();
    const seen = inOrder + charged + acquitted + unproven + unreadable;
    assert.ok(seen > 20 && seen <= 61, `${seen}`);
    stack.advance(100);
    assert.equal(stack.context.memory.held, 0);
  });

  it('gives up on a peer that does not answer', () => {
    open();
    answerWith(BAD, 'b');
    stack.answers((stream) => void (stack.requestsAt('a').length % 2 === 1 && stream.reply(GOOD)), 'a');
    stack.load(30, 200, { timeout: '1S' });
    stack.advance(30_000);
    assert.ok(counts().unproven > 0);
  });
});
