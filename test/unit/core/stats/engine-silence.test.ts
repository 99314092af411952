import assert from 'node:assert/strict';
import { EngineSilence, LONGEST_SILENCE_MS } from '../../../../sidecar/core/stats/engine-silence.js';

const REQUEST_BYTES = 100;

describe('EngineSilence', () => {
  let silence: EngineSilence;
  let nowMs: number;

  /** An answer of `messages` messages, `gapMs` apart. */
  const answer = (messages = 5, gapMs = 20): void => {
    silence.expect(REQUEST_BYTES);
    silence.begin(REQUEST_BYTES, nowMs - 10, nowMs);
    for (let i = 1; i < messages; i++) {
      nowMs += gapMs;
      silence.message(0, nowMs);
    }
    silence.end();
  };
  const settleAll = (): void => {
    // The first request of an engine is larger than all before.
    silence.settle();
  };
  const learn = (count = 20, gapMs = 20): void => {
    for (let i = 0; i < count; i++) answer(5, gapMs);
    settleAll();
  };

  beforeEach(() => {
    silence = new EngineSilence();
    nowMs = 1_000_000;
  });

  describe('stalls under a request', () => {
    const STALL_MS = 2_000;
    /** Whether it has stalled under a request that was sent so long before it fell silent. */
    const stallsUnder = (beforeMs: number): boolean => {
      answer();
      const lastMs = nowMs;
      nowMs += STALL_MS;
      return silence.hasStalled(lastMs - beforeMs, lastMs, nowMs);
    };

    it('that was there as it fell silent, or came just before', () => {
      assert.equal(stallsUnder(500), true);
      assert.equal(stallsUnder(-500), true);
    });

    it('not under one that came later', () => assert.equal(stallsUnder(-1_500), false));

    it('not where it has sent something to others since', () => {
      answer();
      const sinceMs = nowMs;
      nowMs += 100;
      silence.message(0, nowMs);
      nowMs += STALL_MS;
      assert.equal(silence.hasStalled(sinceMs, sinceMs, nowMs), false);
    });

    it('not within a second', () => {
      answer();
      assert.equal(silence.hasStalled(nowMs, nowMs, nowMs + 900), false);
    });

    it('and was slow if the same process sends something later', () => {
      answer();
      const leftMs = nowMs;
      const process = silence.processes;
      assert.equal(silence.hasRecovered(process, leftMs), false);
      nowMs += 10;
      silence.message(0, nowMs);
      assert.equal(silence.hasRecovered(process, leftMs), true);
    });

    it('and was slow if it sends something over a new connection', () => {
      answer();
      const leftMs = nowMs;
      const process = silence.processes;
      silence.reconnect();
      nowMs += 10;
      silence.message(0, nowMs);
      assert.equal(silence.hasRecovered(process, leftMs), true);
    });

    it('would be seen to go on by an answer that waits in the same process', () => {
      silence.begin(REQUEST_BYTES, 0, nowMs);
      assert.equal(silence.isWatched(0), true);
      silence.restart();
      assert.equal(silence.isWatched(0), false);
      assert.equal(silence.isWatched(1), true);
      silence.end();
      assert.equal(silence.isWatched(1), false);
    });

    it('and hangs after the longest silence', () => {
      silence.message(0, nowMs);
      assert.equal(silence.hasHung(nowMs + LONGEST_SILENCE_MS - 1), false);
      assert.equal(silence.hasHung(nowMs + LONGEST_SILENCE_MS), true);
    });

    it('and was not where another process sends it', () => {
      answer();
      const leftMs = nowMs;
      const process = silence.processes;
      silence.restart();
      nowMs += 10;
      silence.message(0, nowMs);
      assert.equal(silence.hasRecovered(process, leftMs), false);
    });
  });

  it('allows the longest silence until twenty answers have begun', () => {
    learn(19);
    assert.equal(silence.limitMs, LONGEST_SILENCE_MS);
    answer();
    assert.equal(silence.limitMs, 1_060);
  });

  it('allows three times the longest silence of one or two minutes', () => {
    learn();
    answer(2, 500);
    assert.equal(silence.limitMs, 2_500);
    for (let i = 0; i < 8; i++) {
      nowMs += 20_000;
      for (let n = 0; n < 10; n++) answer();
    }
    assert.equal(silence.limitMs, 1_060);
  });

  it('never allows more than the longest', () => {
    learn();
    answer(2, 9_000);
    assert.equal(silence.limitMs, LONGEST_SILENCE_MS);
  });

  it('does not take idle time for a silence', () => {
    learn();
    nowMs += 30_000;
    answer();
    assert.equal(silence.limitMs, 1_060);
  });

  it('allows the longest while a prompt is read that is larger than all before', () => {
    learn();
    assert.equal(silence.expect(2 * REQUEST_BYTES), false);
    assert.equal(silence.expect(2 * REQUEST_BYTES + 1), true);
    assert.equal(silence.limitMs, LONGEST_SILENCE_MS);
    silence.settle();
    assert.equal(silence.limitMs, 1_060);
  });

  it('says nothing of a request that waits for its first token, unless an answer has been cut short by silence', () => {
    learn();
    assert.equal(silence.vainMs(nowMs), Number.POSITIVE_INFINITY);
    silence.begin(REQUEST_BYTES, 0, nowMs);
    const sentMs = nowMs + 200;
    silence.suspect(nowMs + 1_100);
    assert.equal(silence.vainMs(sentMs), nowMs + 1_200);
    silence.message(0, nowMs + 1_300);
    assert.equal(silence.vainMs(sentMs), Number.POSITIVE_INFINITY);
  });

  /** A request tries the suspect engine as soon as it may, and goes after so long, by default once it has waited in vain: how long that was. */
  const tryOnce = (waitMs?: number): number => {
    while (silence.isToBeLeft(nowMs)) nowMs += 10;
    const sentMs = nowMs;
    const trial = silence.send(sentMs);
    const vainMs = silence.vainMs(sentMs) - sentMs;
    nowMs += waitMs ?? vainMs;
    silence.endTrial(trial, sentMs, nowMs);
    return vainMs;
  };
  /** How long after `sinceMs` the next request may try it. */
  const nextAfter = (sinceMs: number): number => {
    while (silence.isToBeLeft(nowMs)) nowMs++;
    return nowMs - sinceMs;
  };

  it('lets requests that try it wait longer each time, for a slow engine that is well again', () => {
    learn();
    silence.suspect(nowMs);
    const waits = Array.from({ length: 8 }, () => tryOnce() / 1_000);
    assert.deepEqual(waits, [1.06, 2.12, 4.24, 8.48, 16.96, 33.92, 67.84, 135.68]);
    for (let i = 0; i < 8; i++) tryOnce();
    assert.equal(tryOnce(), 600_000);
  });

  it('is tried again the sooner the less a trial has waited, and a second later at the soonest', () => {
    for (const [waitMs, nextMs] of [
      [0, 1_000],
      [1, 1_000],
      [300, 2_400],
      [1_059, 8_472],
    ] as const) {
      silence = new EngineSilence();
      learn();
      silence.suspect(nowMs);
      const wait = tryOnce(waitMs);
      assert.equal(nextAfter(nowMs - waitMs), nextMs, `after ${waitMs} ms`);
      assert.deepEqual([wait, tryOnce()], [1_060, 1_060], 'no trial has failed');
    }
  });

  it('is not tried by requests that go there as no other engine is left', () => {
    learn();
    silence.suspect(nowMs);
    for (let i = 0; i < 5; i++) {
      const trial = silence.send(nowMs);
      silence.endTrial(trial, nowMs, nowMs + 5_000);
    }
    assert.equal(nextAfter(nowMs), 1_060);
    assert.equal(tryOnce(), 1_060);
  });

  it('is not judged by a trial from before the present suspicion, nor by one before the last', () => {
    learn();
    silence.suspect(nowMs);
    nowMs += 1_060;
    const sentMs = nowMs;
    const before = silence.send(sentMs);
    silence.message(0, nowMs);
    silence.suspect(nowMs);
    silence.endTrial(before, sentMs, nowMs + 100_000);
    assert.equal(tryOnce(), silence.limitMs);
    silence.reconnect();
    const last = silence.send(nowMs);
    silence.reconnect();
    silence.send(nowMs);
    silence.endTrial(last, nowMs, nowMs);
    assert.equal(silence.isToBeLeft(nowMs + 1_000), true);
  });

  it('lets them wait for a first message as long as others had to, and not longer than the longest silence at first', () => {
    learn();
    silence.begin(REQUEST_BYTES, nowMs - 3_000, nowMs);
    silence.suspect(nowMs);
    assert.equal(silence.vainMs(nowMs + 10) - nowMs - 10, 7_000);
    silence.begin(REQUEST_BYTES, nowMs - 8_000, nowMs + 20);
    silence.suspect(nowMs + 30);
    assert.equal(silence.vainMs(nowMs + 40) - nowMs - 40, LONGEST_SILENCE_MS);
  });

  it('lets one at a time try it, and the next one well after that', () => {
    learn();
    assert.equal(silence.isToBeLeft(nowMs), false);
    silence.suspect(nowMs);
    silence.suspect(nowMs + 500);
    assert.equal(silence.isToBeLeft(nowMs + 1_050), true);
    assert.equal(silence.isToBeLeft(nowMs + 1_060), false);
    const sentMs = nowMs + 1_060;
    silence.send(sentMs);
    assert.equal(silence.isToBeLeft(sentMs + 8 * 1_060 - 1), true);
    assert.equal(silence.isToBeLeft(sentMs + 8 * 1_060), false);
    silence.message(sentMs, sentMs + 100);
    assert.equal(silence.isToBeLeft(sentMs + 100), false);
  });

  it('does not come back once three requests have tried it in vain, and a minute has passed', () => {
    learn();
    const lastMs = nowMs;
    silence.suspect(nowMs);
    for (let i = 0; i < 2; i++) tryOnce();
    tryOnce(0);
    assert.equal(silence.isLost(lastMs + 600_000), false, 'one that ended at once does not count');
    tryOnce();
    assert.deepEqual([silence.isLost(lastMs + 59_999), silence.isLost(lastMs + 60_000)], [false, true]);
    assert.equal(silence.expect(100 * REQUEST_BYTES), true);
    assert.equal(silence.isLost(lastMs + 600_000), false, 'a prompt may be read');
    silence.settle();
    silence.message(0, nowMs + 100_000);
    silence.suspect(nowMs + 110_000);
    assert.equal(silence.isLost(nowMs + 600_000), false, 'it came back');
  });

  it('may have come back where there is a connection again, or another process', () => {
    for (const change of ['reconnect', 'restart'] as const) {
      learn();
      silence.suspect(nowMs);
      for (let i = 0; i < 3; i++) tryOnce();
      silence[change]();
      assert.equal(silence.isLost(nowMs + 600_000), false);
      silence.message(nowMs, nowMs);
    }
  });

  /** It hangs, and so many requests have tried it in vain. */
  const hang = (trials: number): void => {
    learn();
    silence.suspect(nowMs);
    for (let i = 0; i < trials; i++) tryOnce();
    assert.equal(silence.isToBeLeft(nowMs), true);
  };

  it('is tried at once where there is a connection again, by one at a time, for as long as at first', () => {
    hang(5);
    silence.reconnect();
    assert.equal(silence.isToBeLeft(nowMs), false);
    const sentMs = nowMs;
    silence.send(sentMs);
    assert.equal(silence.isToBeLeft(nowMs + 1), true);
    assert.equal(silence.vainMs(sentMs) - sentMs, 1_060);
    assert.equal(nextAfter(sentMs), 8 * 1_060);
  });

  it('is not known to hang where another process serves, whatever the one before did', () => {
    hang(9);
    silence.restart();
    const sentMs = nowMs;
    const trial = silence.send(sentMs);
    silence.endTrial(trial, sentMs, nowMs);
    assert.deepEqual([silence.isSuspect, silence.isToBeLeft(nowMs)], [false, false]);
    assert.equal(silence.vainMs(sentMs), Number.POSITIVE_INFINITY);
    silence.suspect(nowMs);
    assert.equal(tryOnce(), 1_060);
  });

  it('learns from a silence that it took for a hang', () => {
    learn();
    silence.begin(REQUEST_BYTES, 0, nowMs);
    silence.suspect(nowMs + 1_100);
    silence.end();
    silence.message(0, nowMs + 2_000);
    assert.equal(silence.limitMs, 7_000);
  });

  it('was not ended by a request that came after its death', () => {
    silence.begin(REQUEST_BYTES, 0, nowMs);
    assert.equal(silence.die(nowMs - 5, nowMs), true);
    assert.equal(silence.die(nowMs - 3, nowMs + 100), true);
    assert.equal(silence.die(nowMs + 50, nowMs + 60), false);
    silence.message(0, nowMs + 1_000);
    assert.equal(silence.die(nowMs + 1_200, nowMs + 1_300), true);
  });

  it('may have been ended by a request that came to the process after the one that died', () => {
    assert.equal(silence.die(nowMs - 5, nowMs), true);
    silence.restart();
    assert.equal(silence.die(nowMs + 50, nowMs + 60), true);
  });

  it('and to one that came after the connection was made again', () => {
    assert.equal(silence.die(nowMs - 5, nowMs), true);
    silence.reconnect();
    assert.equal(silence.die(nowMs + 50, nowMs + 60), true);
  });

  it('has not died where an answer goes on that was in it when its front said so', () => {
    silence.begin(REQUEST_BYTES, nowMs, nowMs);
    silence.die(nowMs + 10, nowMs + 20);
    silence.message(nowMs, nowMs + 30);
    assert.equal(silence.hasGoneOn(nowMs + 20), false, 'it was on its way');
    silence.message(nowMs, nowMs + 80);
    assert.equal(silence.hasGoneOn(nowMs + 20), true);
  });

  it('is not shown to be alive by an answer that came to the next process', () => {
    silence.die(nowMs, nowMs + 20);
    silence.restart();
    silence.begin(REQUEST_BYTES, nowMs + 100, nowMs + 120);
    silence.message(nowMs + 100, nowMs + 200);
    assert.equal(silence.hasGoneOn(nowMs + 20), false);
  });
});
