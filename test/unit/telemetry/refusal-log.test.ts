import assert from 'node:assert/strict';
import type { LogFields, Logger } from '../../../sidecar/runtime/log/logger.js';
import { RefusalLog } from '../../../sidecar/telemetry/refusal-log.js';

describe('The log of refused peers', () => {
  let nowMs: number;
  let lines: LogFields[];
  let log: RefusalLog;
  const note = (peer: string, reason = 'clock-expired'): void =>
    log.note({ reason, detail: 'certificate has expired', peer }, 'endpoint refused', { upstream: 'digits' });

  beforeEach(() => {
    nowMs = 0;
    lines = [];
    const logger = { warn: (fields: LogFields) => void lines.push(fields) } as unknown as Logger;
    log = new RefusalLog(logger, () => nowMs);
  });

  it('has a line with the peer, the reason and the words', () => {
    note('10.0.0.1:9000');
    assert.deepEqual(lines, [
      {
        upstream: 'digits',
        peer: '10.0.0.1:9000',
        reason: 'clock-expired',
        detail: 'certificate has expired',
      },
    ]);
  });

  it('has one in ten seconds for each peer and reason, and says how many came between', () => {
    for (let i = 0; i < 5; i++) note('a');
    note('b');
    note('a', 'untrusted');
    assert.equal(lines.length, 3);
    nowMs = 10_000;
    note('a');
    assert.equal(lines.at(-1)!['unloggedBefore'], 4);
    nowMs = 20_000;
    note('a');
    assert.equal(lines.at(-1)!['unloggedBefore'], undefined);
  });

  describe('where more peers are refused than it keeps apart', () => {
    const recordAll = (peers: number): void => {
      for (let i = 0; i < peers; i++) note(`${i}`);
    };

    it('has one line for all the others in ten seconds, with their number', () => {
      recordAll(10_000);
      assert.equal(lines.length, 257);
      assert.equal(lines.at(-1)!['peer'], '256');
      recordAll(10_000);
      assert.equal(lines.length, 257, 'all of them are known, alone or as one of the others');
      nowMs = 9_999;
      note('another');
      assert.equal(lines.length, 257);
      nowMs = 10_000;
      recordAll(257);
      assert.equal(lines.length, 257 + 257);
      assert.deepEqual(
        lines.slice(257, 259).map((line) => line['unloggedBefore']),
        [1, 1],
      );
      assert.deepEqual(
        [lines.at(-1)!['peer'], lines.at(-1)!['unloggedOthers']],
        ['256', 9_743 + 9_744 + 1],
        'all of the others since their last line',
      );
    });

    it('the one logged longest ago gives way, once it may be logged again', () => {
      note('old');
      note('old');
      nowMs = 5_000;
      recordAll(255);
      nowMs = 10_000;
      note('new');
      note('new');
      assert.equal(lines.length, 257);
      note('0');
      assert.equal(lines.length, 257, 'the younger ones are still known');
      note('old');
      const { peer, unloggedOthers } = lines.at(-1)!;
      assert.deepEqual([lines.length, peer, unloggedOthers], [258, 'old', 1], 'what it had is not lost');
    });

    it('one that is logged again is no longer the oldest', () => {
      note('first');
      nowMs = 1_000;
      recordAll(255);
      nowMs = 10_000;
      note('first');
      nowMs = 11_000;
      note('new');
      note('first');
      assert.equal(lines.length, 258, 'another one has given way');
      note('newer');
      assert.equal(lines.length, 259, 'and so has one more');
    });
  });
});
