import { protocols } from '../../../proto/load.js';
import type { ModelMetadataResponse } from '../../../proto/messages.js';
import { CommandFailure, oneLine } from '../failure.js';
import type { OutputStream } from '../terminal.js';
import { InferClient } from './client.js';
import { requestTensors } from './inputs.js';
import { guessesOf, outputsOf, printText } from './output.js';

export interface InferOptions {
  readonly model: string;
  /** `NAME=VALUE`, `NAME=@FILE` or `@FILE`: see `requestTensors`. */
  readonly inputs: readonly string[];
  /** `host:port` or `unix:/path`. Default 127.0.0.1:8001. */
  readonly target?: string;
  /** For all calls together. Default 15 s. */
  readonly deadlineMs?: number;
  /** Empty: the one the server picks. */
  readonly version?: string;
  readonly json?: boolean;
  /** Request metadata, `KEY=VALUE` each. */
  readonly metadata?: readonly string[];
  readonly stdin?: AsyncIterable<Uint8Array>;
  readonly stdout?: OutputStream;
  readonly stderr?: OutputStream;
}

const DEFAULT_TARGET = '127.0.0.1:8001';
const DEFAULT_DEADLINE_MS = 15_000;

/**
 * `outrider infer`: one inference. Inputs are encoded and outputs printed by what the server's
 * ModelMetadata declares.
 *
 * @returns the exit code: 0 answered, 1 failed (one line on standard error says why), 2 wrong
 * usage.
 */
export async function inferCommand(options: InferOptions): Promise<number> {
  const stderr = options.stderr ?? process.stderr;
  try {
    await infer(options);
    return 0;
  } catch (error) {
    stderr.write(`outrider infer: ${oneLine(error)}\n`);
    return error instanceof CommandFailure ? error.exitCode : 1;
  }
}

async function infer(options: InferOptions): Promise<void> {
  const { model, version = '', deadlineMs = DEFAULT_DEADLINE_MS } = options;
  if (!(deadlineMs > 0))
    throw new CommandFailure(`--deadline: found ${deadlineMs} ms, expected more than 0`, 2);
  const client = new InferClient(options.target ?? DEFAULT_TARGET, deadlineMs, options.metadata ?? []);
  try {
    const { inference } = protocols();
    const metadata = (await client.call(inference.ModelMetadata, { name: model, version })).message;
    requireReady(metadata);
    const { inputs, raw } = await requestTensors(options.inputs, metadata, options.stdin ?? process.stdin);
    const given = inputs.map(({ name }) => name);
    requireAll(metadata, given);
    const request = { model_name: model, model_version: version, inputs, raw_input_contents: raw };
    const { message, headers } = await client.call(inference.ModelInfer, request);
    const outputs = outputsOf(message);
    const guesses = guessesOf(outputs, metadata);
    const degraded = headers['outrider-degraded'];
    const stdout = options.stdout ?? process.stdout;
    if (options.json) {
      const { model_name, model_version } = message;
      const answered = { model: model_name, version: model_version, ...(degraded ? { degraded } : {}) };
      const answer = { ...answered, guesses, outputs };
      stdout.write(`${JSON.stringify(answer)}\n`);
      return;
    }
    stdout.write(`${printText(outputs, guesses)}\n`);
    if (degraded) (options.stderr ?? process.stderr).write(`degraded: ${degraded}\n`);
  } finally {
    client.close();
  }
}

function requireReady({ name, properties, inputs }: ModelMetadataResponse): void {
  const { state, reason } = properties;
  if (state === undefined || state === 'READY') {
    if (inputs.length > 0) return;
    throw new CommandFailure(`model '${name}' declares no inputs`);
  }
  throw new CommandFailure(`model '${name}' is ${state}: ${reason ?? 'no reason given'}`);
}

function requireAll({ inputs }: ModelMetadataResponse, given: readonly string[]): void {
  const missing = inputs
    .filter((i) => !given.includes(i.name))
    .map((i) => `${i.name} (${i.datatype} [${i.shape.join(',')}])`);
  if (missing.length > 0) throw new CommandFailure(`--input is missing for ${missing.join(', ')}`, 2);
  const twice = given.find((name, i) => given.indexOf(name) !== i);
  if (twice !== undefined) throw new CommandFailure(`--input is given twice for ${twice}`, 2);
}
