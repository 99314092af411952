/** Opens a model in code over real ONNX sessions, without a server around it. */

import { join } from 'node:path';
import type { Tensor } from '../../../proto/datatypes.js';
import type {
  ModelCode,
  ModelContext,
  ModelRequest,
  OnnxSession,
  OpenModel,
  Tensors,
  Upstream,
} from '../../../services/model-server/code/model-code.js';
import { ModelSession } from '../../../services/model-server/network/session.js';

/** A model of `directory` (that of model.yaml), and how to end it. */
export interface OpenedModel {
  readonly code: ModelCode;
  /** The outputs of one request with these inputs; rejects with the Error that the model gives in place of an answer. */
  ask(inputs: Tensors): Promise<Tensors>;
  close(): Promise<void>;
}

/** What a model finds around it. */
export interface Surroundings {
  readonly settings?: Readonly<Record<string, unknown>>;
  /** By the names under which the model asks for them. */
  readonly upstreams?: Readonly<Record<string, Upstream>>;
}

export async function openModel(
  open: OpenModel,
  directory: string,
  { settings = {}, upstreams = {} }: Surroundings = {},
): Promise<OpenedModel> {
  const sessions: ModelSession[] = [];
  const context: ModelContext = {
    name: 'under-test',
    version: '1',
    directory,
    settings,
    async session(file) {
      const session = await ModelSession.load(join(directory, file));
      sessions.push(session);
      return named(session);
    },
    upstream: (name) => {
      const upstream = upstreams[name];
      if (upstream === undefined) throw new Error(`there is no upstream ${name}`);
      return upstream;
    },
  };
  const code = await open(context);
  return {
    code,
    async ask(inputs) {
      const [answer] = await code.execute!([requestOf(inputs)]);
      if (answer instanceof Error) throw answer;
      return answer!.outputs;
    },
    async close() {
      await code.close?.();
      for (const session of sessions) await session.release();
    },
  };
}

/** A request without deadline, parameters or sequence. */
export function requestOf(inputs: Tensors): ModelRequest {
  return {
    inputs,
    parameters: {},
    deadlineMs: Number.POSITIVE_INFINITY,
    signal: new AbortController().signal,
    header: () => undefined,
    sequence: undefined,
  };
}

/** A BYTES tensor of shape [n]. */
export function textTensor(...texts: readonly string[]): Tensor {
  return { datatype: 'BYTES', dims: [texts.length], data: [...texts] };
}

function named(session: ModelSession): OnnxSession {
  return {
    inputs: session.inputs,
    outputs: session.outputs,
    async run(inputs) {
      const given = session.inputs.map(({ name }) => inputs[name]!);
      const all = session.outputs.map((_, i) => i);
      const outputs = await session.run(given, all);
      return Object.fromEntries(session.outputs.map(({ name }, i) => [name, outputs[i]!]));
    },
  };
}
