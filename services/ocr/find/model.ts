/**
 * The model `find`: the lines of text in a picture of a page. It finds their places itself, and asks two other model
 * services for the rest: `orient`, which lines stand upside down, and `read`, what they say. Without `orient` the answer
 * lacks something and says so; without `read` there is none. Nothing is tried twice here: that is the sidecar's work.
 */

import {
  type ModelAnswer,
  type ModelRequest,
  type OnnxSession,
  type OpenModel,
  RequestError,
} from '../../model-server/code/model-code.js';
import { eachAlone } from '../answers.js';
import { asLine } from '../lines.js';
import { type Box, cut, type Picture, resized } from '../picture.js';
import { IMAGENET, planes } from '../planes.js';
import { LineReader } from './line-reader.js';
import { PADDLE_OPTIONS, regions } from './regions.js';

/** What the recipe writes. */
export const files = { network: 'model.onnx' };

/** The longest side that the network sees; a larger picture is reduced. PaddleOCR's `limit_side_len`. */
const MAX_SIDE = 960;
/** The network halves its picture five times. */
const MULTIPLE = 32;
/** Pixels of a picture: A4 at 600 dots per inch has 35 million. */
const MAX_PIXELS = 40e6;
/** What is read less surely is taken for no text. RapidOCR's `text_score`. */
const MIN_CONFIDENCE = 0.5;

/** Loads the network. Rejects where `orient` or `read` is no upstream of the service. */
export const open: OpenModel = async (context) => {
  const network = await context.session(files.network);
  const reader = new LineReader(context.upstream('orient'), context.upstream('read'));

  const answer = async (request: ModelRequest): Promise<ModelAnswer> => {
    const picture = pictureOf(request);
    const boxes = await boxesIn(picture, network);
    if (request.inputs['read_text']?.data[0] === 0)
      return { outputs: outputsOf(boxes.map((box) => ({ box, text: '', confidence: 0 }))) };
    const { lines, degraded } = await reader.read(
      boxes.map((box) => asLine(cut(picture, box))),
      request,
    );
    const found = lines.map((line, i) => ({ ...line, box: boxes[i]! }));
    const outputs = outputsOf(found.filter(({ confidence }) => confidence >= MIN_CONFIDENCE));
    return degraded === '' ? { outputs } : { outputs, parameters: { degraded } };
  };

  return {
    inputs: [
      { name: 'image', datatype: 'UINT8', shape: [-1, -1, 3] },
      { name: 'read_text', datatype: 'BOOL', shape: [1], optional: true },
    ],
    outputs: [
      { name: 'text', datatype: 'BYTES', shape: [-1] },
      { name: 'boxes', datatype: 'INT32', shape: [-1, 4] },
      { name: 'confidence', datatype: 'FP32', shape: [-1] },
    ],
    execute: (requests) => eachAlone(requests, answer),
  };
};

function pictureOf({ inputs }: ModelRequest): Picture {
  const { dims, data } = inputs['image']!;
  const [height, width] = dims as [number, number, number];
  const pixels = width * height;
  if (pixels === 0 || pixels > MAX_PIXELS)
    throw new RequestError(`input 'image': found ${width} × ${height} pixels, expected 1 to ${MAX_PIXELS}`);
  return { width, height, rgb: data as Uint8Array };
}

async function boxesIn(picture: Picture, network: OnnxSession): Promise<Box[]> {
  const scale = Math.min(1, MAX_SIDE / Math.max(picture.width, picture.height));
  const rounded = (side: number) => Math.max(MULTIPLE, Math.round((side * scale) / MULTIPLE) * MULTIPLE);
  const seen = resized(picture, rounded(picture.width), rounded(picture.height));
  const tensor = {
    datatype: 'FP32',
    dims: [1, 3, seen.height, seen.width],
    data: planes(seen, IMAGENET),
  } as const;
  const answer = await network.run({ [network.inputs[0]!.name]: tensor });
  const values = answer[network.outputs[0]!.name]!.data as Float32Array;
  return regions({ width: seen.width, height: seen.height, values }, picture, PADDLE_OPTIONS);
}

interface FoundLine {
  readonly box: Box;
  readonly text: string;
  readonly confidence: number;
}

function outputsOf(lines: readonly FoundLine[]): ModelAnswer['outputs'] {
  const corners = lines.flatMap(({ box }) => [box.left, box.top, box.right, box.bottom]);
  return {
    text: { datatype: 'BYTES', dims: [lines.length], data: lines.map(({ text }) => text) },
    boxes: { datatype: 'INT32', dims: [lines.length, 4], data: Int32Array.from(corners) },
    confidence: {
      datatype: 'FP32',
      dims: [lines.length],
      data: Float32Array.from(lines, (l) => l.confidence),
    },
  };
}
