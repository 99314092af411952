/** The models of the serving benchmark, and the request that each of them gets. */

import { join } from 'node:path';
import { PARAPHRASES } from '../../../services/embed/samples.js';
import { encodeInferRequest, type RawInput } from '../../../sidecar/codec/inference.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import { packageRoot } from '../../kit/process/package-root.js';
import { madeFiles } from '../../kit/service/sample-files.js';

/** One model, in a folder of its own. */
export interface ServedModel {
  readonly name: string;
  /** As `--models` takes it. */
  readonly directory: string;
  /** The ONNX file in it that the same request fits without code around it; absent: the model is in code. */
  readonly network?: string;
  readonly input: () => RawInput;
}

const made = (name: string): string => join(packageRoot, '.cache/models', name);

function textInput(text: string): RawInput {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return { name: 'text', datatype: 'BYTES', shape: [1], raw: Buffer.concat([length, bytes]) };
}

/** A picture with a stroke in it: ink from 0 to 1. */
function pixels(): RawInput {
  const values = Float32Array.from({ length: 784 }, (_, i) => (i % 28 > 12 && i % 28 < 16 ? 1 : 0));
  return { name: 'pixels', datatype: 'FP32', shape: [1, 784], raw: new Uint8Array(values.buffer) };
}

/** `digits` is in the repository; the others come from `npm run models`. */
export const SERVED_MODELS: readonly ServedModel[] = [
  {
    name: 'digits',
    directory: join(packageRoot, 'services/digits/models'),
    network: 'digits/1/model.onnx',
    input: pixels,
  },
  { name: 'embed', directory: made('embed'), input: () => textInput(PARAPHRASES[0]![0]!) },
  {
    name: 'filetype',
    directory: made('filetype'),
    input: () => {
      const { content } = madeFiles()[0]!;
      return { name: 'content', datatype: 'UINT8', shape: [content.length], raw: Uint8Array.from(content) };
    },
  },
];

/** One message of ModelInfer, prefix included. */
export function requestFor({ name, input }: ServedModel): Buffer {
  return grpcMessage(encodeInferRequest(name, '', [input()], []));
}

/** What a request costs with no server around the model. */
export interface AloneFigures {
  readonly cpuUs: number;
  readonly rssMb: number;
}

/** The model of this name; throws where there is none. */
export function servedModel(name: string): ServedModel {
  const found = SERVED_MODELS.find((model) => model.name === name);
  if (found === undefined) throw new Error(`there is no model ${name}`);
  return found;
}
