/** The step of the network in model.onnx, for any number of texts side by side. */

import type { OnnxSession } from '../model-server/code/model-code.js';

/** What the network knows of one text. */
export interface Memory {
  /** Of all that it has read; zeros before the first token. */
  state: Float32Array;
  /** For each token how probable it is next, as a logit; empty before the first token. */
  logits: Float32Array;
}

/** `token` INT64 [b], `state` FP32 [b, units] → `logits` FP32 [b, vocabulary], `next_state` FP32 [b, units]. */
export class Network {
  readonly units: number;
  readonly vocabulary: number;
  private readonly session: OnnxSession;

  /** Throws an Error when the file is not such a step. */
  constructor(session: OnnxSession) {
    this.session = session;
    this.units = sizeOf(session, 'next_state');
    this.vocabulary = sizeOf(session, 'logits');
  }

  /** Of a text of which nothing has been read. */
  memory(): Memory {
    return { state: new Float32Array(this.units), logits: new Float32Array() };
  }

  /** Each text reads its token; one run for all of them. `memories` and `tokens` belong together by their order. */
  async step(memories: readonly Memory[], tokens: readonly number[]): Promise<void> {
    const { units, vocabulary } = this;
    const rows = memories.length;
    const states = rows === 1 ? memories[0]!.state : new Float32Array(rows * units);
    if (rows > 1)
      memories.forEach(({ state }, row) => {
        states.set(state, row * units);
      });
    const outputs = await this.session.run({
      token: { datatype: 'INT64', dims: [rows], data: BigInt64Array.from(tokens, BigInt) },
      state: { datatype: 'FP32', dims: [rows, units], data: states },
    });
    const next = outputs['next_state']!.data as Float32Array;
    const logits = outputs['logits']!.data as Float32Array;
    memories.forEach((memory, row) => {
      memory.state = next.subarray(row * units, (row + 1) * units);
      memory.logits = logits.subarray(row * vocabulary, (row + 1) * vocabulary);
    });
  }
}

function sizeOf({ outputs }: OnnxSession, name: string): number {
  const size = outputs.find((output) => output.name === name)?.shape[1] ?? -1;
  if (size <= 0) throw new Error(`model.onnx: expected an output '${name}' [-1, n] of FP32`);
  return size;
}
