/** The history by call, as every check asks for a call's executions, and a run has tens of thousands of both. */

import type { CheckedCall, ExecutionRecord, History } from './record.js';
import { type Finding, ms } from './violation.js';

/** The records of a run by the id of the call. */
export interface CallIndex {
  readonly calls: ReadonlyMap<string, CheckedCall>;
  /** In the order of their begin; only executions of calls that a client made. */
  readonly executions: ReadonlyMap<string, readonly ExecutionRecord[]>;
}

/** Builds the index. Of several calls with one id the first one counts; `findUnsound` reports the others. */
export function indexRun({ calls, executions }: Pick<History, 'calls' | 'executions'>): CallIndex {
  const byId = new Map<string, CheckedCall>();
  for (const call of calls) if (!byId.has(call.id)) byId.set(call.id, call);
  const executed = new Map<string, ExecutionRecord[]>();
  for (const execution of executions) {
    if (!byId.has(execution.callId)) continue; // a probe of a sidecar, or a call before the load
    const known = executed.get(execution.callId);
    if (known === undefined) executed.set(execution.callId, [execution]);
    else known.push(execution);
  }
  for (const list of executed.values()) list.sort((a, b) => a.startMs - b.startMs);
  return { calls: byId, executions: executed };
}

/** Executions of one call; none is an empty list. */
export function executionsOf(index: CallIndex, callId: string): readonly ExecutionRecord[] {
  return index.executions.get(callId) ?? [];
}

/** Calls that must not be executed twice, and were. */
export function findExecutedTwice({ calls }: Pick<History, 'calls'>, index: CallIndex): readonly Finding[] {
  return calls.flatMap((call): Finding[] => {
    const executions = executionsOf(index, call.id);
    if (call.idempotent || executions.length < 2) return [];
    const where = executions.map(({ replica, startMs }) => `${replica} at ${ms(startMs)}`).join(', ');
    return [{ callId: call.id, expected: 'at most one execution', found: `${executions.length}: ${where}` }];
  });
}
