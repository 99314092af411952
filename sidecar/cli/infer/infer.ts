import { protocols } from '../../../proto/load.js';
import type { ModelInferResponse, ModelMetadataResponse } from '../../../proto/messages.js';
import { MetadataKey } from '../../core/metadata-key.js';
import { CommandFailure, oneLine } from '../failure.js';
import type { OutputStream } from '../terminal.js';
import { type Asked, answerOf } from './answers/answer.js';
import { InferClient } from './client.js';
import { AUDIO_RATE } from './file-value.js';
import { type GivenInput, givenInputs } from './inputs.js';
import { joined, type Output, outputsOf } from './output.js';
import { requestsOf } from './request.js';
import { degradedIn, streamed } from './streamed.js';

export interface InferOptions {
  readonly model: string;
  /** `NAME=VALUE`, `NAME=@FILE` or `@FILE`: see `givenInputs`. */
  readonly inputs: readonly string[];
  /** `host:port` or `unix:/path`. Default 127.0.0.1:8001. */
  readonly target?: string;
  /** For all calls together. Default 15 s. */
  readonly deadlineMs?: number;
  /** Empty: the one the server picks. */
  readonly version?: string;
  readonly json?: boolean;
  /** ModelStreamInfer: each answer is printed as it comes. */
  readonly stream?: boolean;
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
    const metadata = (await client.question(inference.ModelMetadata, { name: model, version })).message;
    requireReady(metadata);
    const given = await givenInputs(options.inputs, metadata, options.stdin ?? process.stdin);
    requireAll(metadata, given);
    const requests = requestsOf(given, metadata, { model, version });
    if (options.stream) {
      const { json = false, stdout = process.stdout, stderr = process.stderr } = options;
      const about = asked(given, metadata);
      return await streamed(client, requests, { about, json, stdout, stderr, now: () => performance.now() });
    }
    const answers: Output[][] = [];
    const degraded = new Set<string>();
    let last: ModelInferResponse | undefined;
    for (const request of requests) {
      const { message, headers } = await client.call(inference.ModelInfer, request);
      const why = headers[MetadataKey.degraded] || degradedIn(message);
      if (why) degraded.add(why);
      answers.push(outputsOf(message));
      last = message;
    }
    const { model_name, model_version } = last!;
    const named = { model: model_name, version: model_version };
    print(joined(answers), { ...options, named, degraded: [...degraded].join('; ') }, asked(given, metadata));
  } finally {
    client.close();
  }
}

interface Printing extends InferOptions {
  /** What answered. */
  readonly named: { readonly model: string; readonly version: string };
  /** Why the answer is not all it could be; empty: it is. */
  readonly degraded: string;
}

function print(
  outputs: readonly Output[],
  { json, named, degraded, ...options }: Printing,
  about: Asked,
): void {
  const stdout = options.stdout ?? process.stdout;
  const answer = answerOf(outputs, about);
  if (json) {
    const marked = degraded === '' ? {} : { degraded };
    stdout.write(`${JSON.stringify({ ...named, ...marked, ...answer.json, outputs })}\n`);
    return;
  }
  stdout.write(`${answer.text}\n`);
  if (degraded !== '') (options.stderr ?? process.stderr).write(`degraded: ${degraded}\n`);
}

/** What the answer is about: the rows by their names, and how long the sound was. */
function asked(given: readonly GivenInput[], metadata: ModelMetadataResponse): Asked {
  const named = given.find(({ rowNames }) => rowNames.length > 1);
  const isSound = metadata.properties['input_kind'] === 'audio/16khz';
  const samples = isSound ? Math.max(0, ...given.map(({ tensor }) => tensor.data.length)) : 0;
  return { metadata, rowNames: named?.rowNames ?? [], seconds: samples / AUDIO_RATE };
}

function requireReady({ name, properties, inputs }: ModelMetadataResponse): void {
  const { state, reason } = properties;
  if (state === undefined || state === 'READY') {
    if (inputs.length > 0) return;
    throw new CommandFailure(`model '${name}' declares no inputs`);
  }
  throw new CommandFailure(`model '${name}' is ${state}: ${reason ?? 'no reason given'}`);
}

/** Inputs may be left out where the model says so: property `optional_inputs`, names separated by commas. */
function requireAll({ inputs, properties }: ModelMetadataResponse, given: readonly GivenInput[]): void {
  const known = [...given.map(({ name }) => name), ...(properties['optional_inputs'] ?? '').split(',')];
  const missing = inputs
    .filter((i) => !known.includes(i.name))
    .map((i) => `${i.name} (${i.datatype} [${i.shape.join(',')}])`);
  if (missing.length > 0)
    throw new CommandFailure(
      `--input is missing for ${missing.join(', ')}; expected --input NAME=VALUE or --input NAME=@FILE for each`,
      2,
    );
}
