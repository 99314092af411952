import { existsSync } from 'node:fs';
import { readAddress } from '../config/codecs/address.js';
import { CommandFailure } from './failure.js';
import { portProblem } from './listen-problem.js';
import { requireModelRuntime } from './model-runtime.js';
import { whenNpmShellEnds } from './npm-shell.js';

export interface ServeOptions {
  /** Directory of models: `DIR/<name>/<version>/model.onnx`. */
  readonly models: string;
  /** Names of the models to serve; empty: all of the directory. */
  readonly model: readonly string[];
  readonly listen?: string;
  /** Where the REST half of the protocol is served. */
  readonly rest?: string;
  /** Names that the REST half is known by. */
  readonly restHost: readonly string[];
  /** Whether models are loaded and unloaded on command: none or explicit. */
  readonly control?: string;
  /** What calls may hold. */
  readonly memoryBudget?: string;
  /** End when standard input ends. */
  readonly exitWithStdin?: true;
  /** Print the block `golden` for each `model.yaml`, and end. */
  readonly golden?: true;
  /** Events, or golden blocks, as JSON on standard output. */
  readonly json?: true;
}

/** Entry of the model server. */
const PROGRAM = new URL('../../services/model-server/main.js', import.meta.url);

/** Of the model server. */
const DEFAULT_LISTEN = '127.0.0.1:8001';

/** The model server says of a taken port what the system says; here the process that has it is named. @throws CommandFailure */
async function requireFree(addresses: Readonly<Record<string, string | undefined>>): Promise<void> {
  for (const [option, text] of Object.entries(addresses)) {
    const read = text === undefined ? undefined : readAddress(text);
    // What is no address is for the model server to explain.
    const problem = read?.ok === true ? await portProblem(read.value) : undefined;
    if (problem !== undefined)
      throw new CommandFailure(`${problem}; ${option} HOST:PORT takes another address`);
  }
}

/**
 * `outrider serve`: runs the model server (`services/model-server/`) in this process. It is a
 * program of its own that `sidecar/` may not import, so it is loaded by its path, with its command
 * line in `process.argv`.
 *
 * @returns never: the model server ends the process with its exit code.
 */
export async function serveCommand(options: ServeOptions): Promise<never> {
  if (!existsSync(PROGRAM))
    throw new CommandFailure('the model service is not installed beside this program');
  requireModelRuntime();
  const listen = options.listen ?? process.env['OUTRIDER_MODEL_LISTEN'];
  if (options.golden === undefined)
    await requireFree({ '--listen': listen ?? DEFAULT_LISTEN, '--rest': options.rest });
  process.argv.splice(
    2,
    process.argv.length,
    '--models',
    options.models,
    ...options.model.flatMap((name) => ['--model', name]),
    ...(listen === undefined ? [] : ['--listen', listen]),
    ...(options.rest === undefined ? [] : ['--rest', options.rest]),
    ...options.restHost.flatMap((name) => ['--rest-host', name]),
    ...(options.control === undefined ? [] : ['--control', options.control]),
    ...(options.memoryBudget === undefined ? [] : ['--memory-budget', options.memoryBudget]),
    ...(options.exitWithStdin ? ['--exit-with-stdin'] : []),
    ...(options.golden ? ['--golden'] : []),
    ...(options.json ? ['--json'] : []),
  );
  process.env['ORT_DISABLE_TELEMETRY'] ??= '1'; // ONNX Runtime's telemetry
  // As for every command that runs until a signal: npm passes none on.
  const unwatch = whenNpmShellEnds(() => void process.kill(process.pid, 'SIGTERM'));
  await import(PROGRAM.href);
  // A Ctrl-C ends the shell too, and a second signal would cut the drain short. Not earlier: until now a signal ends the process.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, unwatch);
  if (options.golden) process.exit();
  return new Promise<never>(() => {});
}
