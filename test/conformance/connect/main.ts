/**
 * `npm run conformance:connect`: every gRPC case of connectconformance, directly and through two sidecars, in both modes.
 *
 * Prints a table and exits 1 where a case fails through the sidecars that does not fail without them.
 */

import { tool } from '../../kit/process/tools.js';
import { PROGRAMS, type Result, runSuite } from './run.js';

/** A case in which time decides may fail by chance on a busy machine: it is a failure when it fails again. */
async function failuresBeside(
  direct: Result,
  again: () => Promise<Result>,
  first: Result,
): Promise<string[]> {
  const without = new Set(direct.failures.map(({ name }) => name));
  const failed = first.failures.filter(({ name }) => !without.has(name));
  if (failed.length === 0) return [];
  const repeated = new Set((await again()).failures.map(({ name }) => name));
  return failed.map(({ name, detail }) => `${repeated.has(name) ? '✗' : '?'} ${name}: ${detail}`);
}

async function main(): Promise<number> {
  const binary = await tool('connectconformance');
  if (binary === undefined) return 1;
  const row = (name: string, ...columns: readonly string[]): void =>
    void process.stdout.write(`${name.padEnd(28)}${columns.map((column) => column.padStart(18)).join('')}\n`);
  const score = ({ passed, known, total }: Result): string => `${passed} of ${total - known}`;
  row('program', 'direct', 'through sidecars', 'time');
  let failed = 0;
  for (const program of PROGRAMS) {
    const direct = await runSuite(binary, program, 'direct');
    const through = await runSuite(binary, program, 'sidecars');
    const seconds = ((direct.elapsedMs + through.elapsedMs) / 1000).toFixed(1);
    row(`${program.name} (${program.mode})`, score(direct), score(through), `${seconds} s`);
    for (const line of await failuresBeside(direct, () => runSuite(binary, program, 'sidecars'), through)) {
      process.stdout.write(`  ${line}\n`);
      if (line.startsWith('✗')) failed++;
    }
  }
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
