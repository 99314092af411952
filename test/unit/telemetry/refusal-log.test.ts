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

  it('keeps a bounded number of peers apart', () => {
    for (let i = 0; i < 10_000; i++) note(`${i}`);
    assert.equal(lines.length, 10_000);
    note('9999');
    assert.equal(lines.length, 10_000, 'the last ones are known');
  });
});
