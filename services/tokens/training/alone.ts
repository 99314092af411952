/** The model without a server around it: for training, which needs its golden answer, for measuring, and for tests. */

import { join } from 'node:path';
import type { ModelContext, ModelRequest, OnnxSession, Tensors } from '../../model-server/code/model-code.js';
import { ModelSession } from '../../model-server/network/session.js';

/** A context for `open`, and how to release what it has loaded. */
export interface Alone {
  readonly context: ModelContext;
  close(): Promise<void>;
}

/** @param directory that of model.onnx. */
export function alone(directory: string, settings: ModelContext['settings']): Alone {
  const loaded: ModelSession[] = [];
  const session = async (file: string): Promise<OnnxSession> => {
    const opened = await ModelSession.load(join(directory, file));
    loaded.push(opened);
    return { inputs: opened.inputs, outputs: opened.outputs, run: (given) => run(opened, given) };
  };
  const upstream = (name: string): never => {
    throw new Error(`there is no upstream '${name}'`);
  };
  return {
    context: { name: 'tokens', version: '1', directory, settings, session, upstream },
    close: async () => {
      for (const opened of loaded.splice(0)) await opened.release();
    },
  };
}

async function run(session: ModelSession, given: Tensors): Promise<Tensors> {
  const outputs = await session.run(
    session.inputs.map(({ name }) => given[name]!),
    session.outputs.map((_, i) => i),
  );
  return Object.fromEntries(session.outputs.map(({ name }, i) => [name, outputs[i]!]));
}

/** What a caller asks for; what it leaves out has the model's default. */
export interface Asked {
  readonly prompt: string;
  readonly maxTokens?: number;
  readonly seed?: bigint;
  readonly temperature?: number;
  readonly signal?: AbortSignal;
}

/** A request as the server makes it. */
export function requestFor({ prompt, maxTokens, seed, temperature, signal }: Asked): ModelRequest {
  const dims = [1];
  return {
    inputs: {
      prompt: { datatype: 'BYTES', dims, data: [prompt] },
      ...(maxTokens !== undefined && {
        max_tokens: { datatype: 'INT32', dims, data: Int32Array.of(maxTokens) },
      }),
      ...(seed !== undefined && { seed: { datatype: 'INT64', dims, data: BigInt64Array.of(seed) } }),
      ...(temperature !== undefined && {
        temperature: { datatype: 'FP32', dims, data: Float32Array.of(temperature) },
      }),
    },
    parameters: {},
    deadlineMs: Number.POSITIVE_INFINITY,
    signal: signal ?? new AbortController().signal,
    header: () => undefined,
    sequence: undefined,
  };
}

/** The text of an answer. */
export const textOf = (outputs: Tensors): string => (outputs['token']!.data as string[]).join('');
