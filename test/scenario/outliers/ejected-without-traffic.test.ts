/**
 * An endpoint is ejected, and then there are no calls, so that none can probe it. A check that passes ends the
 * ejection, a while after its time is over; one that fails, or is not answered, does not.
 */
import assert from 'node:assert/strict';
import { Outcome } from '../../../sidecar/core/outcome/outcome.js';
import { EjectionState } from '../../../sidecar/core/outlier/ejection.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { isCheck, says, UpstreamStack } from '../../kit/scenario/upstream-stack.js';

const OUT_MS = 30_000;

describe('Scenario: an ejected endpoint without traffic', () => {
  let stack: UpstreamStack;
  let answersCall: (stream: PeerStream) => void;
  let answersCheck: (stream: PeerStream) => void;
  let checks: number;

  const fails = (stream: PeerStream): void => void stream.fail(13);
  const isGone = (stream: PeerStream): void =>
    void stream.fail(14, [['outrider-reason', 'model-unavailable']]);
  const replies = (stream: PeerStream): void => void stream.reply();

  beforeEach(() => {
    [answersCall, answersCheck, checks] = [fails, says(true), 0];
    stack = new UpstreamStack(['a', 'b', 'c']);
    stack.answers((stream) => (isCheck(stream) ? says(true) : replies)(stream), 'b', 'c');
    stack.answers((stream) => {
      if (isCheck(stream)) checks++;
      return (isCheck(stream) ? answersCheck : answersCall)(stream);
    }, 'a');
    stack.advance(10);
  });

  const ejection = () => stack.endpoint('a').ejection;
  const faults = (): number => stack.endpoint('a').outcomes[Outcome.fault]!;
  const isOut = (): boolean => ejection().state !== EjectionState.admitted;
  const eject = (): void => {
    stack.load(30, 50);
    assert.ok(isOut(), 'ejected');
  };

  it('is back soon after its time is over, when a check passes', () => {
    eject();
    answersCall = replies;
    stack.advance(OUT_MS * 0.8);
    assert.ok(isOut() && checks === 0, 'its time is not over, and it is not asked');
    stack.advance(OUT_MS * 0.5 + 8_000);
    assert.ok(!isOut(), 'back');
    const before = checks;
    stack.advance(120_000);
    assert.equal(checks, before, 'and is asked no more');
    stack.assertIdle();
  });

  it('is back within seconds when its sidecar said that the model was gone, and says now that it serves', () => {
    [answersCall, answersCheck] = [isGone, says(false)];
    eject();
    stack.advance(60_000);
    assert.ok(isOut(), 'while it says no');
    [answersCall, answersCheck] = [replies, says(true)];
    stack.advance(10_000);
    assert.ok(!isOut(), 'back');
  });

  it('is ejected again by its first fault, for a check says less than a call', () => {
    eject();
    stack.advance(OUT_MS * 1.2 + 8_000);
    assert.ok(!isOut(), 'its check passes, though its calls would fail');
    const before = { ejections: ejection().ejections, faults: faults() };
    stack.load(20, 50);
    assert.ok(isOut());
    assert.deepEqual([ejection().ejections, faults()], [before.ejections + 1, before.faults + 1]);
  });

  it('stays out while its check fails, and while nothing answers it', () => {
    eject();
    answersCall = replies;
    for (const answer of [says(false), () => {}]) {
      answersCheck = answer;
      stack.advance(300_000);
      assert.ok(isOut());
    }
    assert.ok(checks >= 20 && checks <= 110, `${checks} checks in ten minutes`);
    answersCheck = says(true);
    stack.advance(10_000);
    assert.ok(!isOut());
  });

  it('gets few calls that prove nothing, though its check passes', () => {
    [answersCall, answersCheck] = [isGone, says(false)];
    eject();
    answersCheck = says(true);
    answersCall = (stream) => void stream.fail(5);
    const before = stack.endpoint('a').attempts;
    stack.load(1_200, 50);
    const probes = stack.endpoint('a').attempts - before;
    assert.ok(isOut() && probes <= 20, `${probes} of 1200 calls`);
    answersCheck = says(false);
    stack.load(200, 50);
    answersCheck = says(true);
    answersCall = replies;
    stack.load(200, 50);
    assert.ok(!isOut(), 'its check fails and passes again: the next call is the probe');
  });

  it('gets no checks where calls probe it, and stays ejected while those fail', () => {
    eject();
    stack.load(2400, 50);
    assert.deepEqual([isOut(), checks], [true, 0]);
  });

  it('is back when it has no health service: it answers, and the next call decides', () => {
    eject();
    answersCheck = (stream) => void stream.fail(12);
    stack.advance(OUT_MS * 1.2 + 8_000);
    assert.ok(!isOut());
  });
});
