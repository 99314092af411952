import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExecutionLog, readExecutions } from '../../../../../sidecar/cli/chaos/models/execution-log.js';

describe('the log of executions', () => {
  it('gives back what a model wrote', () => {
    const folder = mkdtempSync(join(tmpdir(), 'outrider-chaos-log-'));
    try {
      const path = join(folder, 'log');
      const log = new ExecutionLog(path);
      log.began('call-1');
      log.began('an id');
      log.ended('call-1');
      log.cancelled('an id');
      const [run, gone, ...more] = readExecutions(readFileSync(path, 'utf8'), 'replica-1', 0);
      assert.deepEqual(more, []);
      assert.equal(run?.callId, 'call-1');
      assert.ok(run.endMs! >= run.startMs);
      assert.deepEqual([gone?.callId, gone?.endMs], ['an id', undefined]);
      assert.ok(gone!.cancelledMs! >= run.endMs!);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('has no end for what was under way when the process was killed, and two runs for a call that was made twice', () => {
    const text = 'b 10 call-1\nb 12 call-1\ne 15 call-1\nb 20 call-2\nb 2';
    assert.deepEqual(readExecutions(text, 'r', 10), [
      { callId: 'call-1', replica: 'r', startMs: 0 },
      { callId: 'call-1', replica: 'r', startMs: 2, endMs: 5 },
      { callId: 'call-2', replica: 'r', startMs: 10 },
    ]);
  });

  it('has as many ends as were written, of runs for one id at the same time', () => {
    const runs = readExecutions('b 1 x\nb 2 x\nc 3 x\nc 4 x\n', 'r', 0);
    assert.deepEqual(
      runs.map(({ cancelledMs }) => cancelledMs),
      [4, 3],
    );
  });
});
