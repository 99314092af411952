import assert from 'node:assert/strict';
import { GIVING_UP_MS, GivenUpAnswers } from '../../../../sidecar/core/stats/given-up-answers.js';

const KNOWN = true;
const UNKNOWN = false;

describe('GivenUpAnswers', () => {
  let answers: GivenUpAnswers;
  let nowMs: number;

  const giveUp = (count: number, isKnown: boolean): void => {
    for (let i = 0; i < count; i++) answers.record(isKnown, nowMs);
  };
  const assertStops = (stops: boolean, why?: string): void =>
    assert.equal(answers.areSeveral(nowMs), stops, why);

  beforeEach(() => {
    answers = new GivenUpAnswers();
    nowMs = 1_000_030;
  });

  for (const isKnown of [KNOWN, UNKNOWN])
    it(`are several where two end within a second, and for a second; known ids: ${isKnown}`, () => {
      assertStops(false);
      giveUp(1, isKnown);
      assertStops(false);
      nowMs += GIVING_UP_MS;
      giveUp(1, isKnown);
      assertStops(true);
      nowMs += GIVING_UP_MS;
      assertStops(true);
      nowMs += 1;
      assertStops(false);
      giveUp(1, isKnown);
      assertStops(false, 'the one before is too long ago');
    });

  it('are several though an Abort that came too late could explain one of two', () => {
    answers.expectAborts(1, nowMs);
    giveUp(1, UNKNOWN);
    assertStops(false);
    giveUp(1, UNKNOWN);
    assertStops(true);
  });

  it('are several though such an Abort comes each second, for however long', () => {
    for (let i = 0; i < 1_000; i++) {
      answers.expectAborts(1, nowMs);
      nowMs += 1_000;
    }
    giveUp(1, UNKNOWN);
    assertStops(false);
    giveUp(1, UNKNOWN);
    assertStops(true);
  });

  it('are several whatever Aborts of unknown ids there were, where the ids of the answers are known', () => {
    answers.expectAborts(1_000, nowMs);
    giveUp(1, KNOWN);
    assertStops(false);
    giveUp(1, KNOWN);
    assertStops(true);
  });

  it('are none for so many as Aborts name, also at the end of their second', () => {
    for (let i = 0; i < 3; i++) {
      answers.expectAborts(2, nowMs);
      nowMs += 10;
    }
    nowMs += GIVING_UP_MS - 30;
    for (let i = 0; i < 6; i++) {
      giveUp(1, UNKNOWN);
      assertStops(false);
    }
    nowMs += 500;
    assertStops(false, 'what explained them has passed');
  });

  it('are several where more end than Aborts name', () => {
    answers.expectAborts(6, nowMs);
    giveUp(6, UNKNOWN);
    assertStops(false);
    nowMs += 300;
    giveUp(1, UNKNOWN);
    assertStops(true);
  });

  it('are several where Aborts came long before', () => {
    answers.expectAborts(6, nowMs);
    nowMs += GIVING_UP_MS + 101;
    giveUp(2, UNKNOWN);
    assertStops(true);
  });

  it('are several where Aborts come after them', () => {
    giveUp(2, UNKNOWN);
    answers.expectAborts(6, nowMs);
    assertStops(true);
  });

  it('may be ended by each of several Aborts, the oldest first', () => {
    answers.expectAborts(1, nowMs);
    nowMs += 700;
    answers.expectAborts(1, nowMs);
    giveUp(1, UNKNOWN);
    nowMs += 700;
    giveUp(1, UNKNOWN);
    assertStops(false);
  });
});
