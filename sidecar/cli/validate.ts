import { loadAnyFile } from '../config/file/load.js';
import { formatProblem, type Problem } from '../config/problem.js';
import { shippedMeshes } from './package-info.js';

export interface ValidateOptions {
  /** One JSON document for programs instead of lines for people. */
  readonly json: boolean;
  /** What of Consul's rules is not applied, by file, in sentences. */
  readonly notes?: ReadonlyMap<string, readonly string[]>;
}

/** Standard output and standard error, one line at a time. */
export interface ValidateOutput {
  out(line: string): void;
  error(line: string): void;
}

interface ValidationResult {
  readonly file: string;
  readonly ok: boolean;
  /** Absent when the file could not be read. */
  readonly kind?: 'mesh' | 'sidecar';
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

const CONSOLE: ValidateOutput = {
  out: (line) => void process.stdout.write(`${line}\n`),
  error: (line) => void process.stderr.write(`${line}\n`),
};

/**
 * `outrider validate FILE…`: prints every problem of mesh files and sidecar files, and starts
 * nothing.
 *
 * @returns the exit code: 0 when every file is valid, with or without warnings; 1 otherwise, or
 * without files.
 */
export function validateCommand(
  files: readonly string[],
  options: ValidateOptions,
  output: ValidateOutput = CONSOLE,
): number {
  const results = files.map((file) => validate(file, options.notes?.get(file) ?? []));
  if (options.json) output.out(JSON.stringify({ files: results }, null, 2));
  else for (const result of results) print(result, output);
  return results.length > 0 && results.every(({ ok }) => ok) ? 0 : 1;
}

function validate(file: string, notes: readonly string[]): ValidationResult {
  const { kind, result } = loadAnyFile(file, { models: 'required', shipped: shippedMeshes() });
  const known = kind === undefined ? {} : { kind };
  const inConsul = notes.map((message) => ({ file, path: '', message: `in Consul: ${message}` }));
  if (!result.ok) return { file, ok: false, ...known, problems: result.problems, warnings: [] };
  return { file, ok: true, ...known, problems: [], warnings: [...result.warnings, ...inConsul] };
}

function print(result: ValidationResult, output: ValidateOutput): void {
  for (const warning of result.warnings) output.error(`warning: ${formatProblem(warning)}`);
  for (const problem of result.problems) output.error(formatProblem(problem));
  if (result.ok) output.out(`ok ${result.file}`);
}
