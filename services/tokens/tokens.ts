/**
 * The model `tokens`: it goes on with a text, character by character. `stream` answers with each character as soon as it
 * is there; `execute` answers with all of them, and lets the texts of several requests go through the network together.
 */

import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import {
  type CodeTensorSpec,
  type ModelAnswer,
  type ModelCode,
  type ModelContext,
  type ModelRequest,
  RequestError,
} from '../model-server/code/model-code.js';
import { Network } from './network.js';
import { Vocabulary } from './vocabulary.js';
import { type Task, Writer } from './writer.js';

const DEFAULTS = { maxTokens: 128, seed: 0n, temperature: 0.7 };
const MAX_TOKENS = 4096;
/** Bytes: a prompt is read within one turn of the queue. */
const MAX_PROMPT = 1024;
const MAX_TEMPERATURE = 5;
/** Steps after which sockets and timers get their turn, so that the end of a call is noticed. */
const STEPS_A_TURN = 64;

const inputs: readonly CodeTensorSpec[] = [
  { name: 'prompt', datatype: 'BYTES', shape: [1] },
  { name: 'max_tokens', datatype: 'INT32', shape: [1], optional: true },
  { name: 'seed', datatype: 'INT64', shape: [1], optional: true },
  { name: 'temperature', datatype: 'FP32', shape: [1], optional: true },
];
const outputs: readonly CodeTensorSpec[] = [
  { name: 'token', datatype: 'BYTES', shape: [-1] },
  { name: 'index', datatype: 'INT32', shape: [-1] },
];

/** `settings.vocabulary` of model.yaml: the bytes that the network knows, in hex, ascending. */
export async function open(context: ModelContext): Promise<ModelCode> {
  const vocabulary = vocabularyOf(context.settings['vocabulary']);
  const network = new Network(await context.session('model.onnx'));
  if (network.vocabulary !== vocabulary.size)
    throw new Error(
      `settings.vocabulary: found ${vocabulary.size - 1} bytes, expected ${network.vocabulary - 1} for this model.onnx`,
    );
  return {
    inputs,
    outputs,
    execute: (requests) => writeAll(requests, network, vocabulary),
    stream: (request) => write(request, network, vocabulary),
  };
}

function vocabularyOf(setting: unknown): Vocabulary {
  if (typeof setting !== 'string' || !/^([0-9a-f]{2})+$/.test(setting))
    throw new Error('settings.vocabulary: expected bytes in lower-case hex');
  return new Vocabulary(Buffer.from(setting, 'hex'));
}

/** One character an answer. */
async function* write(
  request: ModelRequest,
  network: Network,
  vocabulary: Vocabulary,
): AsyncGenerator<ModelAnswer, void> {
  const writer = new Writer(taskOf(request), vocabulary);
  const memory = network.memory();
  for (let steps = 0; !writer.isDone; steps++) {
    if (steps > 0 && steps % STEPS_A_TURN === 0) await eventLoopTurn();
    request.signal.throwIfAborted();
    await network.step([memory], [writer.next]);
    const character = writer.take(memory.logits);
    if (character !== undefined) yield answerOf([character], writer.count - 1);
  }
}

/** A text that is being written for one request of several. */
interface Row {
  readonly request: ModelRequest;
  readonly writer: Writer;
  readonly memory: ReturnType<Network['memory']>;
  readonly characters: string[];
}

/** All texts step by step together; those that are done, or whose caller has gone, are left out of further steps. */
async function writeAll(
  requests: readonly ModelRequest[],
  network: Network,
  vocabulary: Vocabulary,
): Promise<(ModelAnswer | Error)[]> {
  const rows = requests.map((request): Row | Error => {
    try {
      const writer = new Writer(taskOf(request), vocabulary);
      return { request, writer, memory: network.memory(), characters: [] };
    } catch (error) {
      return error as Error;
    }
  });
  const isOpen = (row: Row | Error): row is Row =>
    !(row instanceof Error) && !row.writer.isDone && !row.request.signal.aborted;
  for (let steps = 1; ; steps++) {
    const open = rows.filter(isOpen);
    if (open.length === 0) break;
    await network.step(
      open.map(({ memory }) => memory),
      open.map(({ writer }) => writer.next),
    );
    for (const { writer, memory, characters } of open) {
      const character = writer.take(memory.logits);
      if (character !== undefined) characters.push(character);
    }
    if (steps % STEPS_A_TURN === 0) await eventLoopTurn();
  }
  return rows.map((row) => {
    if (row instanceof Error) return row;
    return row.writer.isDone ? answerOf(row.characters, 0) : abandoned(row);
  });
}

function abandoned({ request, characters }: Row): Error {
  const cause: unknown = request.signal.reason;
  return new Error(`abandoned after ${characters.length} characters: its caller has gone`, { cause });
}

function answerOf(characters: string[], first: number): ModelAnswer {
  const dims = [characters.length];
  return {
    outputs: {
      token: { datatype: 'BYTES', dims, data: characters },
      index: { datatype: 'INT32', dims, data: Int32Array.from(characters, (_, i) => first + i) },
    },
  };
}

/** Throws a RequestError that names the input, what was found and what was expected. */
function taskOf({ inputs }: ModelRequest): Task {
  const prompt = inputs['prompt']!.data[0] as string;
  const bytes = Buffer.byteLength(prompt);
  if (bytes > MAX_PROMPT)
    throw new RequestError(`input 'prompt': found ${bytes} bytes, expected ${MAX_PROMPT} at most`);
  const number = (name: string) => inputs[name]?.data[0];
  const maxTokens = (number('max_tokens') ?? DEFAULTS.maxTokens) as number;
  if (maxTokens < 1 || maxTokens > MAX_TOKENS)
    throw new RequestError(`input 'max_tokens': found ${maxTokens}, expected 1 to ${MAX_TOKENS}`);
  const temperature = (number('temperature') ?? DEFAULTS.temperature) as number;
  if (!(temperature >= 0 && temperature <= MAX_TEMPERATURE))
    throw new RequestError(`input 'temperature': found ${temperature}, expected 0 to ${MAX_TEMPERATURE}`);
  return { prompt, maxTokens, seed: (number('seed') ?? DEFAULTS.seed) as bigint, temperature };
}
