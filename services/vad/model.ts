/** The model `vad`: where in a recording there is speech, for each 32 ms. A recording comes whole, or in pieces as a sequence. */

import type { Tensor } from '../../proto/datatypes.js';
import {
  type ModelAnswer,
  type ModelRequest,
  type OnnxSession,
  type OpenModel,
  RequestError,
} from '../model-server/code/model-code.js';
import { BEGINNING, CONTEXT, cutWindows, type Remainder, WINDOW } from './windows.js';

/** What the recipe writes. */
export const files = { network: 'model.onnx' };

/** Hz. The network takes 8,000 too, with other windows. */
const RATE = 16_000;
/** Samples of one request: ten minutes, which are 20,000 runs of the network. */
const MAX_SAMPLES = 600 * RATE;
/** Full scale is 1. More than twice as much is no audio of this scale, such as 16-bit numbers that were not divided. */
const MAX_AMPLITUDE = 2;
/** Shape of the network's memory. */
const MEMORY = [2, 1, 128] as const;

/** What is kept of a sequence. */
interface Heard {
  readonly remainder: Remainder;
  readonly memory: Float32Array;
}

const NOTHING: Heard = { remainder: BEGINNING, memory: new Float32Array(MEMORY[0] * MEMORY[1] * MEMORY[2]) };

/** Loads the network. */
export const open: OpenModel = async ({ session }) => {
  const network = await session(files.network);
  return {
    inputs: [{ name: 'audio', datatype: 'FP32', shape: [-1] }],
    outputs: [
      { name: 'speech', datatype: 'FP32', shape: [-1] },
      { name: 'start_sample', datatype: 'INT64', shape: [1] },
    ],
    // One after the other: requests of one sequence never come together, and a run takes all of the thread anyway.
    execute: async (requests) => {
      const answers = [];
      for (const request of requests) answers.push(await answer(request, network).catch(asError));
      return answers;
    },
  };
};

/** A request that fails leaves its sequence as it was before. */
async function answer(request: ModelRequest, network: OnnxSession): Promise<ModelAnswer> {
  const { sequence, signal } = request;
  const audio = request.inputs['audio']!.data as Float32Array;
  check(audio);
  const before = (sequence?.state ?? NOTHING) as Heard;
  const { windows, after } = cutWindows(before.remainder, audio, { isLast: sequence?.end ?? true });
  const speech = new Float32Array(windows.length);
  let { memory } = before;
  for (const [i, window] of windows.entries()) {
    signal.throwIfAborted();
    const heard = await network.run({
      input: { datatype: 'FP32', dims: [1, CONTEXT + WINDOW], data: window },
      state: { datatype: 'FP32', dims: MEMORY, data: memory },
      sr: { datatype: 'INT64', dims: [], data: BigInt64Array.of(BigInt(RATE)) },
    });
    speech[i] = (heard['output']!.data as Float32Array)[0]!;
    memory = heard['stateN']!.data as Float32Array;
  }
  if (sequence !== undefined) sequence.state = { remainder: after, memory } satisfies Heard;
  const start: Tensor = {
    datatype: 'INT64',
    dims: [1],
    data: BigInt64Array.of(BigInt(before.remainder.start)),
  };
  return {
    outputs: { speech: { datatype: 'FP32', dims: [speech.length], data: speech }, start_sample: start },
  };
}

/** Throws a RequestError: what is no number would stay in the memory of the sequence for good. */
function check(audio: Float32Array): void {
  if (audio.length > MAX_SAMPLES)
    throw new RequestError(`input 'audio': found ${audio.length} samples, expected at most ${MAX_SAMPLES}`);
  const wrong = audio.findIndex((sample) => !(Math.abs(sample) <= MAX_AMPLITUDE));
  if (wrong !== -1)
    throw new RequestError(`input 'audio', sample ${wrong}: found ${audio[wrong]}, expected −1 to 1`);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
