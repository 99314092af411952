/** A model directory whose golden block is to be made anew with inputs of its maker. */

import { join } from 'node:path';
import type { Tensor } from '../../../proto/datatypes.js';
import type { InferTensor, ModelInferResponse, ModelMetadataResponse } from '../../../proto/messages.js';
import { encodeRaw } from '../../../proto/tensors.js';
import { goldenSoFar, parseCard, parseDraft } from '../models/card.js';
import { proveGolden } from '../models/golden.js';
import type { ModelSession } from '../network/session.js';
import { decodeInputs } from '../protocol/request.js';
import { goldenText } from './golden-block.js';
import { knownInput } from './golden-of.js';
import { loadForAuthoring } from './load.js';
import { withGolden } from './renewed-card.js';

interface Place {
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
    private readonly session: ModelSession,
  ) {
    const { labels, properties } = parseDraft(place.card);
    const specs = (all: ModelSession['inputs']) =>
      all.map(({ name, datatype, shape }) => ({ name, datatype, shape: [...shape] }));
    this.metadata = {
      name: place.name,
      versions: [],
      platform: 'onnxruntime_onnx',
      inputs: specs(session.inputs),
      outputs: specs(session.outputs),
      properties: { ...properties, ...(labels === undefined ? {} : { labels: JSON.stringify(labels) }) },
    };
  }

  /** Rejects with an Error of one line: the card without its golden block is wrong, or the model cannot be loaded. */
  static async open(place: Place): Promise<Described> {
    parseDraft(place.card);
    const file = join(place.directory, 'model.onnx');
    return new Described(place, await loadForAuthoring(file, file));
  }

  /**
   * The card with a golden block of these inputs; those that are not given stay as they are in it. Proven as at the start of
   * a server, so that a card that would not be served is never written.
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
    // A network has no optional inputs.
    const given = decodeInputs(signature, request) as Tensor[];
    const results = await session.run(
      given,
      session.outputs.map((_, i) => i),
    );
    const block = goldenText({ ...signature, given, results }, '', soFar.tolerance);
    const card = withGolden(place.card, block);
    await proveGolden(session, parseCard(card));
    return { card, response: responseOf(signature, results) };
  }
}

function responseOf(
  { name, outputs }: { name: string; outputs: ModelSession['outputs'] },
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
