import assert from 'node:assert/strict';
import {
  callsToEnd,
  connectionsToClose,
  hasStalled,
  STALLED_MS,
} from '../../../../sidecar/core/admission/stalled-work.js';

const NOW = 100_000;
const NEVER = Number.POSITIVE_INFINITY;

describe('Stalled work', () => {
  it('has stalled after the whole time, and not a moment before', () => {
    assert.equal(hasStalled(NOW - STALLED_MS, NOW), true);
    assert.equal(hasStalled(NOW - STALLED_MS + 1, NOW), false);
    assert.equal(hasStalled(NEVER, NOW), false);
  });

  describe('callsToEnd', () => {
    const calls = [
      { id: 'later', sinceMs: 20_000, bytes: 100 },
      { id: 'moves', sinceMs: NOW - 1, bytes: 10_000 },
      { id: 'first', sinceMs: 10_000, bytes: 10 },
      { id: 'waits for its endpoint', sinceMs: NEVER, bytes: 10_000 },
      { id: 'last', sinceMs: 30_000, bytes: 1_000 },
    ];
    const ended = (bytes: number, isExhausted = false): string[] =>
      callsToEnd(calls, bytes, NOW, isExhausted).map(({ id }) => id);

    it('ends those that stalled first, whatever they hold', () => {
      assert.deepEqual(ended(1), ['first']);
      assert.deepEqual(ended(11), ['first', 'later']);
    });

    it('ends those that have been quiet for a second as well where no memory is left, and none that moves', () => {
      const quiet = { id: 'a second', sinceMs: NOW - 1_000, bytes: 1 };
      const of = (isExhausted: boolean) => callsToEnd([calls[1]!, quiet], 1_000_000, NOW, isExhausted);
      assert.deepEqual(of(true), [quiet]);
      assert.deepEqual(of(false), []);
    });

    it('ends no more than is needed', () => {
      assert.deepEqual(ended(110), ['first', 'later']);
      assert.deepEqual(ended(0), []);
    });

    it('ends none that moves or waits for its endpoint, however much is needed', () => {
      assert.deepEqual(ended(1_000_000), ['first', 'later', 'last']);
    });
  });

  describe('connectionsToClose', () => {
    const connections = [
      { id: 'later', quietSinceMs: 20_000 },
      { id: 'in use', quietSinceMs: NEVER },
      { id: 'first', quietSinceMs: 10_000 },
      { id: 'just now', quietSinceMs: NOW - STALLED_MS + 1 },
    ];
    const closed = (most: number): string[] => connectionsToClose(connections, most, NOW).map(({ id }) => id);

    it('closes those first that have been quiet longest, and none in use', () => {
      assert.deepEqual(closed(10), ['first', 'later']);
      assert.deepEqual(closed(1), ['first']);
    });

    it('closes none where all are in use', () => {
      assert.deepEqual(connectionsToClose([{ quietSinceMs: NEVER }, { quietSinceMs: NOW }], 10, NOW), []);
    });
  });
});
