import { type CallIndex, executionsOf } from './call-index.js';
import type { ArmRun } from './record.js';
import { type Finding, ms } from './violation.js';

/** Calls that must not be executed twice, and were. */
export function findExecutedTwice({ calls }: Pick<ArmRun, 'calls'>, index: CallIndex): readonly Finding[] {
  return calls.flatMap((call): Finding[] => {
    const executions = executionsOf(index, call.id);
    if (call.idempotent || executions.length < 2) return [];
    const where = executions.map(({ replica, startMs }) => `${replica} at ${ms(startMs)}`).join(', ');
    return [{ callId: call.id, expected: 'at most one execution', found: `${executions.length}: ${where}` }];
  });
}
