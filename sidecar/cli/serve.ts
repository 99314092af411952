/**
 * `outrider serve`: one model service in this process.
 *
 * The model runtime is a program of its own (services/), which sidecar/ must not import: it is loaded here by its
 * path, as a shell would start it, and owns the process from then on.
 */

import { existsSync } from 'node:fs';
import { CommandFailure } from './failure.js';
import { requireModelRuntime } from './model-runtime.js';

export interface ServeOptions {
  readonly models: string;
  /** Empty: every model of the folder. */
  readonly model: readonly string[];
  readonly listen?: string;
  readonly exitWithStdin?: true;
  /** Print what the models answer to their golden inputs, and end. */
  readonly golden?: true;
}

const PROGRAM = ['../../services/model-server/main.js', '../../services/model-server/main.ts'];

/** Never resolves: the model service ends the process, with its exit code. */
export async function serveCommand(options: ServeOptions): Promise<never> {
  const program = PROGRAM.map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url));
  if (program === undefined)
    throw new CommandFailure('the model service is not installed beside this program');
  requireModelRuntime();
  const listen = options.listen ?? process.env['OUTRIDER_MODEL_LISTEN'];
  process.argv.splice(
    2,
    process.argv.length,
    '--models',
    options.models,
    ...options.model.flatMap((name) => ['--model', name]),
    ...(listen === undefined ? [] : ['--listen', listen]),
    ...(options.exitWithStdin ? ['--exit-with-stdin'] : []),
    ...(options.golden ? ['--golden'] : []),
  );
  process.env['ORT_DISABLE_TELEMETRY'] ??= '1'; // the inference library would report its use to its maker
  await import(program.href);
  if (options.golden) process.exit();
  return new Promise<never>(() => {});
}
