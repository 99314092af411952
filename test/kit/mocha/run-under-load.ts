/**
 * Runs test files under `nice`, beside a process that keeps a core busy at the usual priority: without names those that bound a time, and
 * `--runs N` times each, 3 by default. Exits with 1 unless every test passed in every run.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { runMocha } from './mocha-process.js';
import { isPassed, lineOf, type Run, TIME_BOUND } from './time-bounds.js';

const NICE = ['nice', '-n', '10'];
const BUSY = 'for (;;);';

/** `work` beside the busy process, which does not outlive this one. */
async function beside<T>(work: () => Promise<T>): Promise<T> {
  const busy: ChildProcess = spawn(process.execPath, ['-e', BUSY], { stdio: 'ignore' });
  const end = () => busy.kill('SIGKILL');
  process.once('exit', end);
  try {
    return await work();
  } finally {
    process.off('exit', end);
    end();
  }
}

const { values, positionals } = parseArgs({
  options: { runs: { type: 'string', default: '3' } },
  allowPositionals: true,
});
const count = Number(values.runs);
const named = positionals.map((path) => path.replace(/^(\.\/)?(dist\/)?/, '').replace(/\.js$/, '.ts'));
const lines: string[] = [];
for (const file of named.length > 0 ? named : TIME_BOUND) {
  const runs: Run[] = [];
  for (let i = 0; i < count; i++) {
    const run = await beside(() => runMocha(file, [file], NICE));
    runs.push(run);
    if (isPassed(run)) continue;
    process.stdout.write(`== ${file}, run ${i + 1} of ${count}\n${run.output.trimEnd()}\n\n`);
    process.exitCode = 1;
  }
  lines.push(lineOf(file, runs));
  process.stdout.write(`${lines.at(-1)}\n`);
}
const failed = lines.filter((line) => line.startsWith('✘'));
process.stdout.write(
  `\n${lines.length - failed.length} of ${lines.length} files passed ${count} times beside other load\n`,
);
for (const line of failed) process.stdout.write(`${line}\n`);
