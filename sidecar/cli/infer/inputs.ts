import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Datatype, isDatatype, type Tensor } from '../../../proto/datatypes.js';
import { goldenData } from '../../../proto/golden-values.js';
import type { ModelMetadataResponse, TensorMetadata } from '../../../proto/messages.js';
import { type GoldenCard, readGoldenCard } from '../../config/file/golden-card.js';
import { CommandFailure, oneLine } from '../failure.js';
import { tensorOfFile } from './file-value.js';
import { tensorOfText } from './json-value.js';
import { stacked } from './shape.js';

/** The file of `outrider init`: its golden inputs are an example. */
const CARD = /^@(.*\/)?model\.yaml$/;

/** One input of a request. */
export interface GivenInput {
  readonly name: string;
  readonly tensor: Tensor;
  /** What people know its rows by: the texts, or the names of the files; empty where there are none. */
  readonly rowNames: readonly string[];
}

/**
 * Reads `--input` arguments as tensors, and checks them against the inputs that the model declares:
 *
 *   NAME=VALUE      text, or JSON: a number, true, arrays nested by dimension, {"shape":[…],"values":[…]}
 *   NAME=@FILE      PNG, WAV, .npy, JSON, a value in each line, or plain little-endian bytes (.bin, .raw)
 *   @FILE           for a model with one input; `-` as FILE is standard input
 *   @…/model.yaml   the golden inputs of a card
 *
 * Several arguments for one input are the rows of a batch.
 *
 * @throws CommandFailure: exit code 2 for a wrong argument, 1 for a file that cannot be used.
 */
export async function givenInputs(
  specs: readonly string[],
  metadata: ModelMetadataResponse,
  stdin: AsyncIterable<Uint8Array>,
): Promise<GivenInput[]> {
  const values = new Map<string, { tensor: Tensor; names: readonly string[] }[]>();
  const add = (name: string, tensor: Tensor, names: readonly string[]) =>
    values.set(name, [...(values.get(name) ?? []), { tensor, names }]);
  for (const spec of specs) {
    if (CARD.test(spec)) {
      for (const [name, tensor] of goldenOf(spec.slice(1), metadata)) add(name, tensor, []);
      continue;
    }
    const { name, value } = splitSpec(spec, metadata);
    const input = declared(name, metadata, `--input ${spec}`);
    if (value.startsWith('@')) {
      const path = value.slice(1);
      const shown = path === '-' ? 'standard input' : path;
      const tensor = tensorOfFile(await readAll(path, stdin), { path, shown }, { input, metadata });
      add(name, tensor, rowNames(tensor, basename(shown)));
    } else {
      const tensor = tensorOfText(value, input, `input '${name}'`);
      add(name, tensor, rowNames(tensor, ''));
    }
  }
  return [...values].map(([name, parts]) => {
    const input = declared(name, metadata, '--input');
    try {
      const tensor = stacked(
        parts.map((part) => part.tensor),
        input,
      );
      return { name, tensor, rowNames: parts.flatMap(({ names }) => names) };
    } catch (error) {
      throw new CommandFailure(oneLine(error), 2);
    }
  });
}

/** Rows are known by their text; the one row of a file by the name of the file. */
function rowNames({ data, dims }: Tensor, file: string): string[] {
  if (Array.isArray(data) && data.length === (dims[0] ?? 1)) return data;
  return file !== '' && (dims[0] ?? 1) === 1 ? [file] : new Array(dims[0] ?? 1).fill('');
}

/** The golden inputs of a card, as an example of what the model takes. */
function goldenOf(file: string, metadata: ModelMetadataResponse): [string, Tensor][] {
  let golden: GoldenCard;
  try {
    golden = readGoldenCard(file);
  } catch (error) {
    throw new CommandFailure(oneLine(error));
  }
  return Object.entries(golden.inputs).map(([name, { shape: dims, values }]) => {
    const { datatype } = declared(name, metadata, `${file}: golden`);
    return [name, { datatype, dims, data: goldenData(values, datatype, `${file}: input '${name}'`) }];
  });
}

function declared(
  name: string,
  metadata: ModelMetadataResponse,
  where: string,
): TensorMetadata & { datatype: Datatype } {
  const tensor = metadata.inputs.find((i) => i.name === name);
  if (tensor === undefined) throw usage(`${where}: found input '${name}', expected ${names(metadata)}`);
  const { datatype } = tensor;
  if (!isDatatype(datatype)) throw new CommandFailure(`input '${name}' has the unknown datatype ${datatype}`);
  return { ...tensor, datatype };
}

function splitSpec(spec: string, metadata: ModelMetadataResponse): { name: string; value: string } {
  const at = spec.indexOf('=');
  if (at > 0 && !spec.startsWith('@')) return { name: spec.slice(0, at), value: spec.slice(at + 1) };
  if (spec.startsWith('@') && metadata.inputs.length === 1)
    return { name: metadata.inputs[0]!.name, value: spec };
  throw usage(
    spec.startsWith('@')
      ? `--input ${spec}: the model has ${metadata.inputs.length} inputs, expected NAME=${spec} with one of ${names(metadata)}`
      : `--input ${spec}: expected NAME=VALUE or @FILE; the model's inputs: ${names(metadata)}`,
  );
}

async function readAll(path: string, stdin: AsyncIterable<Uint8Array>): Promise<Buffer> {
  if (path === '-') {
    const chunks: Uint8Array[] = [];
    for await (const chunk of stdin) chunks.push(chunk);
    return Buffer.concat(chunks);
  }
  try {
    return await readFile(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CommandFailure(
      code === 'ENOENT' ? `${path} does not exist` : `${path} cannot be read: ${code}`,
    );
  }
}

function names(metadata: ModelMetadataResponse): string {
  return metadata.inputs.map((i) => `${i.name} (${i.datatype} [${i.shape.join(',')}])`).join(', ');
}

function usage(message: string): CommandFailure {
  return new CommandFailure(message, 2);
}
