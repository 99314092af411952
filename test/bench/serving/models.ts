/** The models of the serving benchmark, and the request that each of them gets. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PARAPHRASES } from '../../../services/embed/samples.js';
import { WordPieceTokenizer } from '../../../services/embed/tokenizer.js';
import { type FeatureConfig, featuresOf } from '../../../services/filetype/features.js';
import { encodeInferRequest, type RawInput } from '../../../sidecar/codec/inference.js';
import { grpcMessage } from '../../kit/http2/h2-frames.js';
import { packageRoot } from '../../kit/process/package-root.js';
import { madeFiles } from '../../kit/service/sample-files.js';

/** One model, in a folder of its own. */
export interface ServedModel {
  readonly name: string;
  /** As `--models` takes it. */
  readonly directory: string;
  /** Whether code of ours stands around its network; it is made by `npm run models` then. */
  readonly isCode: boolean;
  /** The ONNX file. */
  readonly network: string;
  /** What a caller sends. */
  readonly input: () => RawInput;
  /** What the network gets of it: for servers that have no code around it. */
  readonly networkInputs: () => readonly RawInput[];
}

const made = (name: string): string => join(packageRoot, '.cache/models', name);
const madeFile = (name: string, file: string): string => join(made(name), name, '1', file);

/** What is embedded. */
const text = PARAPHRASES[0]![0]!;

function textInput(): RawInput {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return { name: 'text', datatype: 'BYTES', shape: [1], raw: Buffer.concat([length, bytes]) };
}

function tokens(): RawInput[] {
  const vocabulary = readFileSync(madeFile('embed', 'vocab.txt'), 'utf8');
  const { ids } = new WordPieceTokenizer(vocabulary, 256).encode(text);
  const shape = [1, ids.length];
  const input = (name: string, values: readonly number[]): RawInput => {
    return { name, datatype: 'INT64', shape, raw: bytesOf(BigInt64Array.from(values, BigInt)) };
  };
  return [
    input('input_ids', ids),
    input(
      'attention_mask',
      ids.map(() => 1),
    ),
  ];
}

/** A picture with a stroke in it: ink from 0 to 1. */
function pixels(): RawInput {
  const values = Float32Array.from({ length: 784 }, (_, i) => (i % 28 > 12 && i % 28 < 16 ? 1 : 0));
  return { name: 'pixels', datatype: 'FP32', shape: [1, 784], raw: bytesOf(values) };
}

function content(): RawInput {
  const raw = Uint8Array.from(madeFiles()[0]!.content);
  return { name: 'content', datatype: 'UINT8', shape: [raw.length], raw };
}

function features(): RawInput {
  const config = JSON.parse(readFileSync(madeFile('filetype', 'config.json'), 'utf8')) as FeatureConfig;
  const values = featuresOf(content().raw, config)!;
  return { name: 'bytes', datatype: 'INT32', shape: [1, values.length], raw: bytesOf(values) };
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** `digits` is in the repository; the others come from `npm run models`. */
export const SERVED_MODELS: readonly ServedModel[] = [
  {
    name: 'digits',
    directory: join(packageRoot, 'services/digits/models'),
    isCode: false,
    network: join(packageRoot, 'services/digits/models/digits/1/model.onnx'),
    input: pixels,
    networkInputs: () => [pixels()],
  },
  {
    name: 'embed',
    directory: made('embed'),
    isCode: true,
    network: madeFile('embed', 'model.onnx'),
    input: textInput,
    networkInputs: tokens,
  },
  {
    name: 'filetype',
    directory: made('filetype'),
    isCode: true,
    network: madeFile('filetype', 'model.onnx'),
    input: content,
    networkInputs: () => [features()],
  },
];

/** One message of ModelInfer, prefix included: what a caller sends. */
export function requestFor({ name, input }: ServedModel): Buffer {
  return grpcMessage(encodeInferRequest(name, '', [input()], []));
}

/** The same for a server of the network alone. */
export function networkRequestFor({ name, networkInputs }: ServedModel): Buffer {
  return grpcMessage(encodeInferRequest(name, '', networkInputs(), []));
}

/** The model of this name; throws where there is none. */
export function servedModel(name: string): ServedModel {
  const found = SERVED_MODELS.find((model) => model.name === name);
  if (found === undefined) throw new Error(`there is no model ${name}`);
  return found;
}
