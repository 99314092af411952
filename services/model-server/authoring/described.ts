/** A model directory whose golden block is to be made anew with inputs of its maker. */

import { basename, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Tensor, TensorSpec } from '../../../proto/datatypes.js';
import type { InferTensor, ModelInferResponse, ModelMetadataResponse } from '../../../proto/messages.js';
import { encodeRaw } from '../../../proto/tensors.js';
import { loadCode } from '../code/load-code.js';
import type { Upstream } from '../code/model-code.js';
import { goldenSoFar, parseCard, parseDraft } from '../models/card.js';
import { checksumOf, requireChecksum } from '../models/checksum.js';
import { type ProvableSession, provable, proveGolden } from '../models/golden.js';
import { decodeInputs } from '../protocol/request.js';
import { goldenText } from './golden-block.js';
import { knownInput } from './golden-of.js';
import { loadForAuthoring } from './load.js';
import { withChecksum, withGolden } from './renewed-card.js';

/** A model directory with its card. */
export interface Place {
  readonly directory: string;
  /** Text of model.yaml. */
  readonly card: string;
  readonly name: string;
}

/** The model, loaded, with its card as it is. */
export class Described {
  /** As ModelMetadata would say it. */
  readonly metadata: ModelMetadataResponse;

  private constructor(
    private readonly place: Place,
    private readonly session: ProvableSession,
  ) {
    const { labels, properties } = parseDraft(place.card);
    const optional = session.inputs.filter((input) => input.optional).map(({ name }) => name);
    const specs = (all: readonly TensorSpec[]) =>
      all.map(({ name, datatype, shape }) => ({ name, datatype, shape: [...shape] }));
    this.metadata = {
      name: place.name,
      versions: [],
      platform: 'onnxruntime_onnx',
      inputs: specs(session.inputs),
      outputs: specs(session.outputs),
      properties: {
        optional_inputs: optional.join(','),
        ...properties,
        ...(labels === undefined ? {} : { labels: JSON.stringify(labels) }),
      },
    };
  }

  /** Rejects with an Error of one line: the card without its golden block is wrong, or the model cannot be loaded. */
  static async open(place: Place): Promise<Described> {
    const { code, settings, runtime } = parseDraft(place.card);
    const { name, directory } = place;
    if (code === undefined) {
      const file = join(directory, 'model.onnx');
      return new Described(place, await loadForAuthoring(file, file));
    }
    const [now, wallNow] = [() => performance.now(), Date.now];
    const version = basename(directory);
    const executor = await loadCode({
      name,
      version,
      directory,
      code,
      settings,
      runtime,
      now,
      wallNow,
      upstream,
    });
    if (executor.streamsOnly)
      throw new Error(`${directory}: the model can only stream, and has no golden block to renew`);
    return new Described(place, provable(executor));
  }

  /** Rejects with an Error of one line where a server would not serve the model with this card: its sum or its golden output differs. */
  async prove(): Promise<void> {
    const card = parseCard(this.place.card);
    await requireChecksum(join(this.place.directory, 'model.onnx'), card.sha256);
    await proveGolden(this.session, card);
  }

  /**
   * The card with a golden block of these inputs; those that are not given stay as they are in it. Its `sha256` becomes that of the
   * file which was run. Proven as at the start of a server, so that a card that would not be served is never written.
   */
  async renew({ inputs, raw }: { inputs: readonly InferTensor[]; raw: readonly Uint8Array[] }) {
    const { session, place } = this;
    const soFar = goldenSoFar(place.card);
    const kept = session.inputs.flatMap((spec): [InferTensor, Uint8Array][] => {
      if (inputs.some(({ name }) => name === spec.name)) return [];
      const tensor = knownInput(spec, soFar.inputs[spec.name]);
      if (tensor === undefined) return [];
      return [[{ name: spec.name, datatype: spec.datatype, shape: [...tensor.dims] }, encodeRaw(tensor)]];
    });
    const request = {
      model_name: place.name,
      inputs: [...inputs, ...kept.map(([tensor]) => tensor)],
      raw_input_contents: [...raw, ...kept.map(([, bytes]) => bytes)],
    };
    const signature = { name: place.name, inputs: session.inputs, outputs: session.outputs };
    const given = decodeInputs(signature, request);
    const results = await session.run(
      given as readonly Tensor[],
      session.outputs.map((_, i) => i),
    );
    const block = goldenText({ ...signature, given, results }, '', soFar.tolerance);
    const { sha256: before } = parseDraft(place.card);
    const sum = before === undefined ? undefined : await checksumOf(join(place.directory, 'model.onnx'));
    const isOtherFile = sum !== before;
    const renewed = withGolden(place.card, block);
    const card = sum === undefined || !isOtherFile ? renewed : withChecksum(renewed, sum);
    await proveGolden(session, parseCard(card));
    return { card, isOtherFile, response: responseOf(signature, results) };
  }
}

/** A golden input is answered by the model alone: what others answer is not its own. */
function upstream(name: string): Upstream {
  return {
    infer: async () => {
      throw new Error(`upstream '${name}': not there outside a mesh, so this input cannot be the golden one`);
    },
  };
}

function responseOf(
  { name, outputs }: { name: string; outputs: readonly TensorSpec[] },
  results: readonly Tensor[],
): ModelInferResponse {
  return {
    model_name: name,
    model_version: '',
    id: '',
    outputs: outputs.map(({ name: output, datatype }, i) => ({
      name: output,
      datatype,
      shape: [...results[i]!.dims],
    })),
    raw_output_contents: results.map(encodeRaw),
  };
}
