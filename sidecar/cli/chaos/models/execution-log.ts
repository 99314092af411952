/**
 * The log that a model writes of its runs: one line at the begin and one at the end of each, written at once, so that it
 * outlives a process that is killed. `b`, `e` or `c`, the machine's monotonic time, the id of the call.
 */
import { openSync, writeSync } from 'node:fs';
import type { ExecutionRecord } from '../history/record.js';
import { machineNow } from '../protocol/run-clock.js';

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

  began(id: string): void {
    this.write('b', id);
  }

  ended(id: string): void {
    this.write('e', id);
  }

  /** A run for the call is over whose caller has gone. */
  cancelled(id: string): void {
    this.write('c', id);
  }

  private write(kind: 'b' | 'e' | 'c', id: string): void {
    writeSync(this.file, `${kind} ${machineNow()} ${id}\n`);
  }
}

type OpenExecution = { -readonly [Key in keyof ExecutionRecord]: ExecutionRecord[Key] };

/**
 * The executions in the text of one replica's log. An end belongs to the last begin of the same call that has none.
 *
 * @param zeroMs the machine's time that is 0 in the records.
 */
export function readExecutions(text: string, replica: string, zeroMs: number): ExecutionRecord[] {
  const found: OpenExecution[] = [];
  const open = new Map<string, OpenExecution[]>();
  // What follows the last line end is empty, or a line that a killed process began.
  for (const line of text.split('\n').slice(0, -1)) {
    const [kind, at, ...id] = line.split(' ');
    const callId = id.join(' ');
    const atMs = Number(at) - zeroMs;
    const runs = open.get(callId) ?? [];
    if (kind === 'b') {
      const run = { callId, replica, startMs: atMs };
      found.push(run);
      runs.push(run);
      open.set(callId, runs);
    } else {
      const run = runs.pop();
      if (run !== undefined) run[kind === 'e' ? 'endMs' : 'cancelledMs'] = atMs;
    }
  }
  return found;
}
