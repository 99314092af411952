/**
 * An endpoint's health check says yes and no by turns. It takes as many bad answers in a row as the threshold says to
 * take it out of use, and as many good ones to bring it back; one odd answer changes nothing.
 */
import assert from 'node:assert/strict';
import { GRPC_HEALTH, says, UpstreamStack } from '../../kit/scenario/upstream-stack.js';

describe('Scenario: flapping health', () => {
  let stack: UpstreamStack;
  let answered: boolean[];
  let changes: number;

  /** `answers` are given by turns, for ever. */
  const open = (answers: string, unhealthyThreshold: number, healthyThreshold: number): void => {
    answered = [];
    stack = new UpstreamStack(['a', 'b'], {
      health: { ...GRPC_HEALTH, unhealthyThreshold, healthyThreshold },
    });
    stack.answers(says(true), 'b');
    stack.answers((stream) => {
      const isGood = answers[answered.length % answers.length] === '+';
      answered.push(isGood);
      says(isGood)(stream);
    }, 'a');
    changes = 0;
    let was = '';
    for (let i = 0; i < 12_000; i++) {
      stack.advance(50);
      const now = stack.endpoint('a').unhealthy;
      if ((now === '') !== (was === '')) changes++;
      was = now;
    }
  };

  it('of every other answer changes nothing, though it is asked again sooner', () => {
    open('+-', 2, 1);
    assert.equal(changes, 0);
    assert.ok(answered.length > 150 && answered.length < 260, `${answered.length}`);
  });

  it('of two bad answers in a row takes it out, and of one good one brings it back', () => {
    open('++--', 2, 1);
    assert.ok(changes > 20, `${changes}`);
  });

  it('is damped by higher thresholds', () => {
    open('++--', 3, 3);
    assert.equal(changes, 0);
  });

  it('keeps it out until as many good answers have come as it takes', () => {
    open('+---+-+-+-', 3, 2);
    assert.equal(changes, 1, 'out once, and never two good ones in a row');
  });
});
