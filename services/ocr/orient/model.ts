/** The model `orient`: which lines of text stand upside down. */

import type { ModelRequest, OpenModel } from '../../model-server/code/model-code.js';
import { eachAlone } from '../answers.js';
import { LINE_HEIGHT, LINE_INPUTS, linesOf } from '../lines.js';
import type { Picture } from '../picture.js';
import { PLUS_MINUS_ONE, planes } from '../planes.js';
import { WINDOW, windowsOf } from './windows.js';

/** What the recipe writes. */
export const files = { network: 'model.onnx' };

/** Loads the network. */
export const open: OpenModel = async ({ session }) => {
  const network = await session(files.network);
  const input = network.inputs[0]!.name;
  const output = network.outputs[0]!.name;

  /** Probability that a line stands upside down: the mean over its windows. */
  const upsideDown = async (line: Picture): Promise<number> => {
    const windows = windowsOf(line);
    const data = new Float32Array(windows.length * 3 * LINE_HEIGHT * WINDOW);
    windows.forEach((window, i) => {
      data.set(planes(window, PLUS_MINUS_ONE, WINDOW), i * 3 * LINE_HEIGHT * WINDOW);
    });
    const dims = [windows.length, 3, LINE_HEIGHT, WINDOW];
    const answer = await network.run({ [input]: { datatype: 'FP32', dims, data } });
    const probabilities = answer[output]!.data as Float32Array; // upright and upside down, by window
    return windows.reduce((sum, _, i) => sum + probabilities[2 * i + 1]!, 0) / windows.length;
  };

  const answer = async (request: ModelRequest) => {
    const lines = linesOf(request.inputs);
    const angles = new Int32Array(lines.length);
    const confidence = new Float32Array(lines.length);
    for (const [i, line] of lines.entries()) {
      request.signal.throwIfAborted();
      const probability = await upsideDown(line);
      angles[i] = probability > 0.5 ? 180 : 0;
      confidence[i] = Math.max(probability, 1 - probability);
    }
    return {
      outputs: {
        angle: { datatype: 'INT32', dims: [lines.length], data: angles },
        confidence: { datatype: 'FP32', dims: [lines.length], data: confidence },
      },
    } as const;
  };

  return {
    inputs: LINE_INPUTS,
    outputs: [
      { name: 'angle', datatype: 'INT32', shape: [-1] },
      { name: 'confidence', datatype: 'FP32', shape: [-1] },
    ],
    execute: (requests) => eachAlone(requests, answer),
  };
};
