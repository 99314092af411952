/**
 * Check of the history itself. It finds mistakes of the recorder before they look like good or bad news of an arm.
 */
import type { CheckBounds } from './bounds.js';
import type { CallIndex } from './executions.js';
import type { CheckedCall, History } from './record.js';
import type { Finding } from './violation.js';

/**
 * Records that contradict each other. A check cannot find what its records hide: models that log no executions make every call
 * look executed at most once.
 */
export function findUnsound(run: History, index: CallIndex, { clockMs }: CheckBounds): readonly Finding[] {
  const findings = run.calls.flatMap((call) => contradictions(call, run));
  const seen = new Set<string>();
  for (const { id } of run.calls) {
    if (seen.has(id))
      findings.push({ callId: id, expected: 'an id of its own', found: 'two calls with this id' });
    seen.add(id);
  }
  for (const { callId, startMs, endMs } of run.executions) {
    const call = index.calls.get(callId);
    if (call === undefined) continue;
    if (startMs < call.startMs - clockMs)
      findings.push({ callId, expected: 'executed after it was made', found: 'executed before' });
    if (endMs !== undefined && endMs < startMs)
      findings.push({ callId, expected: 'an execution that ends after it began', found: 'it ends before' });
  }
  const answered = run.calls.find(({ status, degraded }) => status === 0 && !degraded);
  if (answered !== undefined && run.executions.length === 0 && run.hasNoExecutions !== true)
    findings.push({
      callId: answered.id,
      expected: 'a log of executions',
      found: 'none, although models answered',
    });
  return findings;
}

/** What one record says against itself or against the run that it stands in. */
function contradictions(call: CheckedCall, { drill, arm }: History): Finding[] {
  const { id: callId, startMs, endMs, status, answer, answers } = call;
  const found: Finding[] = [];
  if (call.drill !== drill || call.arm !== arm)
    found.push({
      callId,
      expected: `a call of ${drill} with ${arm}`,
      found: `one of ${call.drill} with ${call.arm}`,
    });
  if (!(endMs >= startMs))
    found.push({ callId, expected: 'an end after its begin', found: 'an end before it' });
  if ((status === 0 && answers > 0) === (answer === 'none'))
    found.push({
      callId,
      expected: 'a judged answer for status 0, and for no other',
      found: `${answer} for status ${status}`,
    });
  return found;
}
