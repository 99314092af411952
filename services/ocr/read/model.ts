/** The model `read`: the text of pictures of single lines. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ModelRequest, OpenModel } from '../../model-server/code/model-code.js';
import { eachAlone } from '../answers.js';
import { LINE_HEIGHT, LINE_INPUTS, linesOf } from '../lines.js';
import type { Picture } from '../picture.js';
import { PLUS_MINUS_ONE, planes } from '../planes.js';
import { decode, type ReadLine } from './ctc.js';

/** What the recipe writes. */
export const files = { network: 'model.onnx', characters: 'characters.txt' };

/** The network was trained with lines that are filled up to this width. */
const MIN_WIDTH = 320;
/** It gives one step for so many columns. */
const STEP = 8;

/** Loads the network and its characters. */
export const open: OpenModel = async ({ session, directory }) => {
  const network = await session(files.network);
  const characters = charactersOf(await readFile(join(directory, files.characters), 'utf8'));
  const input = network.inputs[0]!.name;
  const output = network.outputs[0]!;
  const classes = output.shape.at(-1);
  if (classes !== characters.length + 1)
    throw new Error(
      `${files.characters}: found ${characters.length} characters, expected ${(classes ?? 0) - 1}`,
    );

  // One at a time: in one run each line would be filled up to the widest.
  const read = async (line: Picture): Promise<ReadLine> => {
    const width = Math.max(MIN_WIDTH, Math.ceil(line.width / STEP) * STEP);
    const data = planes(line, PLUS_MINUS_ONE, width);
    const answer = await network.run({
      [input]: { datatype: 'FP32', dims: [1, 3, LINE_HEIGHT, width], data },
    });
    return decode(answer[output.name]!.data as Float32Array, characters);
  };

  const answer = async (request: ModelRequest) => {
    const lines = linesOf(request.inputs);
    const text: string[] = [];
    const confidence = new Float32Array(lines.length);
    for (const [i, line] of lines.entries()) {
      request.signal.throwIfAborted();
      const found = await read(line);
      text.push(found.text);
      confidence[i] = found.confidence;
    }
    return {
      outputs: {
        text: { datatype: 'BYTES', dims: [lines.length], data: text },
        confidence: { datatype: 'FP32', dims: [lines.length], data: confidence },
      },
    } as const;
  };

  return {
    inputs: LINE_INPUTS,
    outputs: [
      { name: 'text', datatype: 'BYTES', shape: [-1] },
      { name: 'confidence', datatype: 'FP32', shape: [-1] },
    ],
    execute: (requests) => eachAlone(requests, answer),
  };
};

/** One a line; the last class of the network, the space, is not in the file. */
function charactersOf(text: string): string[] {
  const characters = text.split(/\r?\n/);
  if (characters.at(-1) === '') characters.pop(); // after the last line's end
  return [...characters, ' '];
}
