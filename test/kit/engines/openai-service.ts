/** The OpenAI service as a process, installed and built as its README says. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { Program } from '../interop/programs.js';
import { ROOT, toolOrSkip } from '../process/tools.js';

const run = promisify(execFile);
const FOLDER = path.join(ROOT, 'services', 'openai');
export const OPENAI_PROGRAM = path.join(FOLDER, 'dist', 'main.js');

let built: Promise<unknown> | undefined;

/** For a `before` hook: skips the suite if its packages cannot be had. */
export async function buildOpenAiService(context: Mocha.Context): Promise<void> {
  await toolOrSkip(context, 'openai-service');
  built ??= run('npm', ['run', '--silent', 'build', '--prefix', FOLDER], { cwd: ROOT });
  await built;
}

export interface OpenAiService {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly program: Program;
}

/** Resolves once it serves its model, or with `isLoading` as soon as it listens. */
export async function startOpenAiService(
  args: readonly string[],
  { isLoading = false } = {},
): Promise<OpenAiService> {
  const program = new Program('the OpenAI service', [
    process.execPath,
    OPENAI_PROGRAM,
    ...['--listen', '127.0.0.1:0', ...args],
  ]);
  const url = await program.started(
    'its address',
    () => /listening at (http:[^,]+),/.exec(program.output)?.[1],
  );
  if (!isLoading) await program.started('the model', () => program.output.includes('"serving '));
  return { url, program };
}
