/**
 * `outrider validate FILE…`: what is wrong with configuration files, all of it at once, before anything is started.
 */
import { loadAnyFile } from '../config/file/load.js';
import { formatProblem, type Problem } from '../config/file/problem.js';

export interface ValidateOptions {
  /** One JSON document for programs instead of lines for people. */
  readonly json: boolean;
}

/** Where the answers go; the default is this process's own output. */
export interface ValidateOutput {
  out(line: string): void;
  error(line: string): void;
}

interface ValidationResult {
  readonly file: string;
  readonly ok: boolean;
  /** What the file is; absent when it could not be read. */
  readonly kind?: 'mesh' | 'sidecar';
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

const CONSOLE: ValidateOutput = {
  out: (line) => void process.stdout.write(`${line}\n`),
  error: (line) => void process.stderr.write(`${line}\n`),
};

/** The exit code: 0 when every file is good, warnings notwithstanding; 1 when one is not, or none was given. */
export function validateCommand(
  files: readonly string[],
  options: ValidateOptions,
  output: ValidateOutput = CONSOLE,
): number {
  const verdicts = files.map(judge);
  if (options.json) output.out(JSON.stringify({ files: verdicts }, null, 2));
  else for (const verdict of verdicts) say(verdict, output);
  return verdicts.length > 0 && verdicts.every(({ ok }) => ok) ? 0 : 1;
}

function judge(file: string): ValidationResult {
  const { kind, result } = loadAnyFile(file);
  const known = kind === undefined ? {} : { kind };
  if (!result.ok) return { file, ok: false, ...known, problems: result.problems, warnings: [] };
  return { file, ok: true, ...known, problems: [], warnings: result.warnings };
}

function say(verdict: ValidationResult, output: ValidateOutput): void {
  for (const warning of verdict.warnings) output.error(`warning: ${formatProblem(warning)}`);
  for (const problem of verdict.problems) output.error(formatProblem(problem));
  if (verdict.ok) output.out(`ok ${verdict.file}`);
}
