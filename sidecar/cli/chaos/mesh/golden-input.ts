/** The golden input of a model as calls: what is sent, and whether an answer is the golden output. */

import { type Client, type ServiceError, status } from '@grpc/grpc-js';
import { protocols } from '../../../../proto/load.js';
import {
  decodeInferResponse,
  decodeMetadataResponse,
  encodeMetadataRequest,
  MODEL_METADATA,
  type RawInput,
} from '../../../codec/inference.js';
import { type GoldenCard, readGoldenCard } from '../../../config/file/golden-card.js';
import { nearest } from '../../../config/suggest.js';
import { goldenInputs, goldenProblem } from '../../../health/model/golden-call.js';
import { listModels } from '../../../health/model/model-directory.js';
import { attempt } from '../../../runtime/attempt.js';
import { CommandFailure, oneLine } from '../../failure.js';
import { askUnary } from '../protocol/call.js';
import { rawMethod } from '../protocol/raw-method.js';

const METADATA_LIMIT_MS = 5_000;

export interface JudgedAnswer {
  readonly answer: 'right' | 'wrong';
  /** The id that the model echoed; absent: it echoes none. */
  readonly answeredId?: string;
}

export class GoldenInput {
  private constructor(
    readonly model: string,
    private readonly card: GoldenCard,
    private readonly inputs: readonly RawInput[],
    /** The model says that one request may have many answers; the calls of a drill ask for them in one (ModelInfer). */
    readonly isStreamed: boolean,
  ) {}

  /**
   * @param directory of the models.
   * @param asked name of the model; absent: the first.
   * @param client to the service, which is asked for the datatypes of the inputs.
   * @throws CommandFailure where there is no such model, or its card has no golden input.
   */
  static async open(directory: string, asked: string | undefined, client: Client): Promise<GoldenInput> {
    const models = attemptList(directory);
    const names = models.map(({ name }) => name);
    const found = asked === undefined ? models[0] : models.find(({ name }) => name === asked);
    if (found === undefined)
      throw new CommandFailure(
        `--model: found ${asked ?? 'none'}; expected a model of ${directory}: ${nearest(asked ?? '', names) ?? (names.join(', ') || 'there is none')}`,
        2,
      );
    try {
      const card = readGoldenCard(found.card);
      const inputs = goldenInputs(card, await declaredInputs(client, found.name));
      return new GoldenInput(found.name, card, inputs, await isStreamed(client, found.name));
    } catch (error) {
      throw new CommandFailure(`the golden input of ${found.name}: ${oneLine(error)}`);
    }
  }

  /** A ModelInferRequest with an id of its own. */
  request(id: string): Buffer {
    const { ModelInfer } = protocols().inference;
    return ModelInfer.requestSerialize({
      model_name: this.model,
      id,
      inputs: this.inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(String) })),
      outputs: Object.keys(this.card.outputs).map((name) => ({ name })),
      raw_input_contents: this.inputs.map(({ raw }) => raw),
    });
  }

  /** Compares an answer with the golden output, within the tolerance of the card. */
  judge(message: Buffer): JudgedAnswer {
    const problem = attempt(() => goldenProblem(decodeInferResponse(message), this.card), 'unreadable');
    const id = attempt(() => protocols().inference.ModelInfer.responseDeserialize(message).id, '');
    return { answer: problem === undefined ? 'right' : 'wrong', ...(id !== '' && { answeredId: id }) };
  }
}

function attemptList(directory: string) {
  try {
    return listModels(directory);
  } catch (error) {
    throw new CommandFailure(`the golden inputs cannot be read on this machine: ${oneLine(error)}`);
  }
}

/**
 * What the metadata of the model says of its inputs; empty where the server has no metadata.
 *
 * @throws Error where it does not answer, or not about this model: without datatypes a golden input would be read as numbers.
 */
async function declaredInputs(client: Client, model: string) {
  const said = { request: encodeMetadataRequest(model, ''), deadlineMs: METADATA_LIMIT_MS };
  const answer = await askUnary(client, rawMethod(MODEL_METADATA), said).catch((error: ServiceError) => {
    if (error.code === status.UNIMPLEMENTED) return undefined;
    throw new Error(`ModelMetadata: ${status[error.code]}: ${error.details}`);
  });
  return answer === undefined ? [] : attempt(() => decodeMetadataResponse(answer).inputs, []);
}

/** What the configuration of the model says (Triton's `decoupled`); false where it says nothing. */
async function isStreamed(client: Client, model: string): Promise<boolean> {
  const said = { request: { name: model, version: '' }, deadlineMs: METADATA_LIMIT_MS };
  const answer = await askUnary(client, protocols().inference.ModelConfig, said).catch(() => undefined);
  return answer?.config?.model_transaction_policy?.decoupled === true;
}
