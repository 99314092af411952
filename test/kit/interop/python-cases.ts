/** Cases that a Python client runs in one process and reports as lines of JSON, as tests of their own. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { type ToolName, testFile, toolOrSkip } from '../process/tools.js';

export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** kserve's client is found without what its package imports beside it. */
const ENV = { ...process.env, PYTHONPATH: testFile('interop', 'clients', 'kserve-client-only') };

/** Runs a program to its end, for 60 s at most; never rejects. */
export function run(command: string, ...args: readonly string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 60_000, maxBuffer: 16 << 20, env: ENV }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr });
    });
  });
}

/** Runs a script of test/interop in one process; the outcome of each of its cases by name: `ok`, or why not. */
export async function outcomesOf(binary: string, script: string, ...args: readonly string[]) {
  const { stdout, stderr } = await run(binary, testFile('interop', script), ...args);
  const outcomes = new Map<string, string>();
  for (const line of stdout.split('\n').filter((text) => text.startsWith('{'))) {
    const { case: name, ok, why } = JSON.parse(line) as { case: string; ok: boolean; why?: string };
    outcomes.set(name, ok ? 'ok' : (why ?? 'failed'));
  }
  if (outcomes.size === 0) throw new Error(`the Python client said nothing: ${stderr}`);
  return outcomes;
}

/** Each of `cases` as a test. The script runs once, before them, with what `args` gives; skipped without `tool`. */
export function pythonCases(
  tool: ToolName,
  script: string,
  cases: readonly string[],
  args: () => readonly string[],
): void {
  let outcomes: ReadonlyMap<string, string>;
  before(async function () {
    const binary = await toolOrSkip(this, tool);
    outcomes = await outcomesOf(binary, script, ...args(), ...cases);
  });
  for (const name of cases) it(name.replaceAll('_', ' '), () => assert.equal(outcomes.get(name), 'ok'));
}
