import assert from 'node:assert/strict';
import type { ArmName, ArmRun, CallRecord } from '../../../../sidecar/cli/chaos/history/record.js';
import {
  lossesOf,
  lostOf,
  summaryJson,
  summaryTable,
  textOf,
  verdictText,
} from '../../../../sidecar/cli/chaos/summary.js';
import { isWorse, worseDrills } from '../../../../sidecar/cli/chaos/verdict.js';
import { paletteFor } from '../../../../sidecar/cli/terminal.js';

/** A digit that was read right within 10 ms. */
function chaosCall(id: string, said: Partial<CallRecord> = {}): CallRecord {
  return {
    ...{ id, drill: 'kill', arm: 'outrider', client: 'client-1', startMs: 0, endMs: 10, deadlineMs: 1_000 },
    ...{ model: 'digits', idempotent: true, status: 0, answer: 'right', degraded: false, answers: 1 },
    ...said,
  };
}

/** A run without executions and marks. */
function chaosRun(drill: string, arm: ArmName, calls: readonly CallRecord[]): ArmRun {
  return {
    drill,
    arm,
    calls,
    seconds: 10,
    executions: [],
    marks: [],
    clientLagMs: [],
    replicas: ['replica-1'],
  };
}

const PLAIN = paletteFor({ write: () => {} }, {});
const failed = (n: number): CallRecord[] =>
  Array.from({ length: n }, (_, i) => chaosCall(`f${i}`, { status: 14, answer: 'none' }));

describe('the losses of a drill', () => {
  it('are failed, wrong and duplicated calls; a fault itself is none', () => {
    const calls = [
      chaosCall('a'),
      chaosCall('b', { status: 14, answer: 'none' }),
      chaosCall('c', { answer: 'wrong' }),
      chaosCall('d', { idempotent: false, model: 'long' }),
      chaosCall('e'),
      chaosCall('f', { status: 14, answer: 'none', isFault: true }),
    ];
    const executions = ['d', 'd', 'e', 'e'].map((callId) => ({ callId, replica: 'replica-1', startMs: 0 }));
    const losses = lossesOf({ calls, executions });
    assert.deepEqual(losses, { sent: 5, failed: 1, wrong: 1, duplicated: 1, p99Ms: 10 });
    assert.equal(lostOf(losses), 3);
    assert.equal(textOf(losses), '1 failed, 1 wrong, 1 duplicated of 5, p99 10 ms');
  });

  it('stand in a table by drill and arm', () => {
    const runs = [
      chaosRun('kill', 'outrider', [chaosCall('a')]),
      chaosRun('kill', 'pick-first', failed(2)),
      chaosRun('slow', 'outrider', []),
    ];
    const lines = summaryTable(runs, PLAIN).split('\n');
    assert.match(lines[0]!, /^drill +outrider +pick-first$/);
    assert.match(lines[1]!, /^kill +none lost of 1, p99 10 ms +2 failed of 2, p99 10 ms$/);
    assert.match(lines[2]!, /^slow +none lost of 0, p99 0 ms +-$/);
  });
});

describe('the verdict of chaos', () => {
  it('takes a few calls more for no difference, and many for one', () => {
    const losses = (n: number) => lossesOf({ calls: failed(n), executions: [] });
    assert.equal(isWorse(losses(3), losses(0)), false);
    assert.equal(isWorse(losses(4), losses(0)), true);
    assert.equal(isWorse(losses(110), losses(100)), false);
    assert.equal(isWorse(losses(111), losses(100)), true);
  });

  it('names the drill and the arm that lost less', () => {
    const runs: ArmRun[] = [
      chaosRun('kill', 'outrider', failed(9)),
      chaosRun('kill', 'round-robin', failed(1)),
    ];
    const broken = worseDrills(runs);
    assert.deepEqual(broken, ['kill: outrider lost 9 calls, round-robin 1']);
    assert.match(verdictText(broken, PLAIN), /^Broken promises:\n {2}kill/);
    assert.deepEqual((summaryJson(runs, broken) as { verdict: string }).verdict, 'broken');
  });

  it('says nothing of drills that Outrider was not in', () => {
    assert.deepEqual(worseDrills([chaosRun('kill', 'pick-first', failed(9))]), []);
    assert.equal(verdictText([], PLAIN), 'Every promise was kept.');
  });
});
