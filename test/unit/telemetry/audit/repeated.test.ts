import assert from 'node:assert/strict';
import { RepeatedDecisions } from '../../../../sidecar/telemetry/audit/repeated.js';
import { AuditKind } from '../../../../sidecar/telemetry/audit/trail.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

describe('decisions that repeat', () => {
  let clock: ManualClock;
  let lines: [string, Readonly<Record<string, unknown>>][];
  let trail: RepeatedDecisions;
  beforeEach(() => {
    clock = new ManualClock();
    lines = [];
    const to = {
      record: (kind: string, fields: Readonly<Record<string, unknown>>) => void lines.push([kind, fields]),
    };
    trail = new RepeatedDecisions(to, { clock, timers: clock });
  });
  const deny = (source: string): void => trail.record(AuditKind.denied, { source, destination: 'digits' });

  it('are one line, and the number of their repetitions ten seconds later', () => {
    for (let i = 0; i < 1_000; i++) deny('a');
    deny('b');
    assert.equal(lines.length, 2);
    clock.advance(10_000);
    assert.deepEqual(lines.slice(2), [
      ['call-denied', { source: 'a', destination: 'digits', repeated: 999 }],
    ]);
    deny('a');
    assert.equal(lines.length, 4, 'the next one is a line again');
  });

  it('of many kinds share a line, so that a flood of them is bounded and counted', () => {
    for (let i = 0; i < 1_000; i++) deny(`caller-${i}`);
    assert.equal(lines.length, 256);
    trail.flush();
    assert.deepEqual(lines.slice(256), [['call-denied', { others: true, repeated: 744 }]]);
    assert.equal(clock.pending(), 0);
  });

  it('are told from others, each of which is a line', () => {
    for (let i = 0; i < 3; i++) trail.record(AuditKind.ejected, { endpoint: 'a' });
    assert.equal(lines.length, 3);
    clock.advance(60_000);
    assert.equal(lines.length, 3);
  });
});
