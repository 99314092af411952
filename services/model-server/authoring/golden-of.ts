/** The golden block of a model directory, made by running its model once. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor, TensorSpec } from '../../../proto/datatypes.js';
import { goldenData } from '../../../proto/golden-values.js';
import { fromValues } from '../../../proto/tensors.js';
import { type GivenInputs, goldenSoFar, parseDraft } from '../models/card.js';
import { requireChecksum } from '../models/checksum.js';
import type { Found } from '../models/repository.js';
import { ModelSession } from '../network/session.js';
import { messageOf } from '../rpc.js';
import { goldenText } from './golden-block.js';

/**
 * Text to put into model.yaml, on the inputs that the card has, else on zeros. Rejects with the reason when the model
 * cannot be loaded or run, and for one that is more than its network, of which only `outrider golden` knows.
 */
export async function goldenBlock({ directory }: Found): Promise<string> {
  const file = join(directory, 'model.yaml');
  const { inputs: known, isNetworkAlone } = soFarIn(file);
  if (!isNetworkAlone)
    throw new Error(
      `${file}: found code or sequence.state, so that the network alone does not answer as the model; run: outrider golden ${directory}`,
    );
  const session = await ModelSession.load(join(directory, 'model.onnx'));
  try {
    const { inputs, outputs } = session;
    const given = inputs.map((spec) => knownInput(spec, known[spec.name]) ?? zeros(spec));
    const results = await session.run(
      given,
      outputs.map((_, i) => i),
    );
    const isZero = inputs.some(({ name }) => known[name] === undefined);
    const comment = isZero ? 'of zeros, which prove little: put a real input in, and make this again' : '';
    return goldenText({ inputs, outputs, given, results }, comment);
  } finally {
    await session.release();
  }
}

/** Why a server would not serve this model.onnx, whatever golden block its card gets; undefined: it is the file of its card. */
export async function checksumProblem({ directory }: Found): Promise<string | undefined> {
  const card = join(directory, 'model.yaml');
  if (!existsSync(card)) return undefined;
  const { sha256 } = parseDraft(readFileSync(card, 'utf8'));
  try {
    await requireChecksum(join(directory, 'model.onnx'), sha256);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** A golden input of a card as a tensor; undefined where there is none. Throws an Error where its values do not fill its shape. */
export function knownInput(
  { name, datatype }: TensorSpec,
  known: GivenInputs[string] | undefined,
): Tensor | undefined {
  if (known === undefined) return undefined;
  const { shape: dims, values } = known;
  const count = dims.reduce((product, size) => product * size, 1);
  if (values.length !== count)
    throw new Error(`golden: input '${name}': found ${values.length} values, expected ${count}`);
  return { datatype, dims, data: goldenData(values, datatype, `golden: input '${name}'`) };
}

function zeros({ name, datatype, shape }: TensorSpec): Tensor {
  const dims = shape.map((size) => Math.max(1, size));
  const count = dims.reduce((product, size) => product * size, 1);
  const none = datatype === 'BYTES' ? '' : datatype === 'BOOL' ? false : 0;
  const values = new Array(count).fill(none) as Parameters<typeof fromValues>[0];
  return { datatype, dims, data: fromValues(values, datatype, `golden: input '${name}'`) };
}

function soFarIn(file: string): ReturnType<typeof goldenSoFar> {
  return existsSync(file) ? goldenSoFar(readFileSync(file, 'utf8')) : { inputs: {}, isNetworkAlone: true };
}
