/**
 * The log that a model writes of its runs: one line at the begin and one at the end of each, written at once, so that it
 * outlives a process that is killed. `b` or `e`, the machine's monotonic time, the id of the call.
 */
import { openSync, writeSync } from 'node:fs';
import type { ExecutionRecord } from '../history/record.js';
import { machineNow } from '../protocol/run-clock.js';
import { ID_PREFIX } from '../protocol/service.js';

/**
 * Writes one log. Each line is one `write` of its own: buffered lines would be lost with the process, and with them the proof
 * that a call was begun twice.
 */
export class ExecutionLog {
  private readonly file: number;

  /** @param path is appended to: processes of one replica that follow each other share it. */
  constructor(path: string) {
    this.file = openSync(path, 'a', 0o600);
  }

  /** A run for the call begins. */
  began(id: string): void {
    this.write('b', id);
  }

  /** A run for the call has its answer. */
  ended(id: string): void {
    this.write('e', id);
  }

  private write(kind: 'b' | 'e', id: string): void {
    if (id.startsWith(ID_PREFIX)) writeSync(this.file, `${kind} ${machineNow()} ${id}\n`);
  }
}

/**
 * The executions in the text of one replica's log. An end belongs to the last begin of the same call that has none.
 *
 * @param zeroMs the machine's time that is 0 in the records.
 */
export function readExecutions(text: string, replica: string, zeroMs: number): ExecutionRecord[] {
  const found: { callId: string; replica: string; startMs: number; endMs?: number }[] = [];
  const open = new Map<string, (typeof found)[number]>();
  for (const line of text.split('\n')) {
    const [kind, at, callId] = line.split(' ');
    if (callId === undefined) continue; // a line that a killed process began
    const atMs = Number(at) - zeroMs;
    if (kind === 'b') {
      const run = { callId, replica, startMs: atMs };
      found.push(run);
      open.set(callId, run);
    } else {
      const run = open.get(callId);
      if (run !== undefined) run.endMs = atMs;
      open.delete(callId);
    }
  }
  return found;
}
