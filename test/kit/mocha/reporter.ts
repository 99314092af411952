/**
 * Mocha's own report, then one plain line that any tool can read: `N passed, N failed, N skipped`. With `report=FILE` among
 * the reporter's options the line is left out, and the results go into that file.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import Mocha from 'mocha';

/** What one mocha process found. */
export interface Report extends Counts {
  /**
   * CPU time since the process began or told its last results, with that of those that it has started and seen end; undefined where the
   * system does not tell it.
   */
  readonly cpuMs?: number | undefined;
  readonly tests: readonly TestTime[];
  readonly failures: readonly Failure[];
}

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** `error`: the message and the stack, as text. */
export interface Failure {
  readonly title: string;
  readonly error: string;
}

/** `ms`: without hooks. */
export interface TestTime {
  readonly title: string;
  readonly ms: number;
}

class ClosingLine extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options?: Mocha.MochaOptions) {
    super(runner, options);
    const file: string | undefined = options?.reporterOptions?.['report'];
    const tests: TestTime[] = [];
    const failures: Failure[] = [];
    runner.on('test end', (test) => tests.push({ title: test.fullTitle(), ms: test.duration ?? 0 }));
    runner.on('fail', (test, error) => failures.push({ title: test.fullTitle(), error: textOf(error) }));
    runner.once('end', () => {
      const { passes: passed, failures: failed, pending: skipped } = this.stats;
      const counts = { passed, failed, skipped };
      if (file === undefined) process.stdout.write(`\n${closingLine(counts)}\n`);
      else
        writeFileSync(
          file,
          JSON.stringify({ ...counts, cpuMs: cpuSinceLast(), tests, failures } satisfies Report),
        );
    });
  }
}

let toldMs = 0;

function cpuSinceLast(): number | undefined {
  const ms = cpuTimeMs();
  const sinceMs = ms === undefined ? undefined : ms - toldMs;
  toldMs = ms ?? 0;
  return sinceMs;
}

/** Linux counts in ticks of 10 ms, and adds what a process and its ended children took to its parent when it is waited for. */
function cpuTimeMs(): number | undefined {
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8');
    const [user, system, childUser, childSystem] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 15)
      .map(Number);
    return 10 * (user! + system! + childUser! + childSystem!);
  } catch {
    return undefined;
  }
}

/** What was thrown may be anything. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message, stack = '' } = error;
  return stack.includes(message) ? stack : `${message}\n${stack}`;
}

export const closingLine = ({ passed, failed, skipped }: Counts): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`;

// Mocha loads reporters by `require(...)`, or the default export of a module.
export { ClosingLine as default };
