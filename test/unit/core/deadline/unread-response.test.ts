import assert from 'node:assert/strict';
import { giveUpAtMs } from '../../../../sidecar/core/deadline/unread-response.js';

const NONE = Number.POSITIVE_INFINITY;

describe('a complete response that is not read is given up', () => {
  const rows: readonly [string, deadlineMs: number, idleTimeoutMs: number, sinceMs: number, atMs: number][] =
    [
      ['at its deadline', 50_000, 1000, 10_000, 50_000],
      ['a second after its reader took something, where that is later', 50_000, 0, 49_900, 50_900],
      ['ten seconds after its deadline at the latest', 50_000, 0, 59_900, 60_000],
      ['at the idle timeout where it has no deadline', NONE, 7000, 10_000, 17_000],
      ['after five minutes where it has neither', NONE, 0, 10_000, 310_000],
    ];
  for (const [what, deadlineMs, idleTimeoutMs, sinceMs, atMs] of rows)
    it(what, () => assert.equal(giveUpAtMs({ deadlineMs, idleTimeoutMs }, sinceMs), atMs));
});
