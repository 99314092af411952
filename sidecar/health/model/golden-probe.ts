import { join } from 'node:path';
import {
  decodeInferResponse,
  decodeMetadataResponse,
  encodeInferRequest,
  encodeMetadataRequest,
  MODEL_INFER,
  MODEL_METADATA,
} from '../../codec/inference.js';
import { type GoldenCard, readGoldenCard } from '../../config/file/golden-card.js';
import type { Address } from '../../config/model.js';
import { Status, statusName } from '../../core/outcome/status.js';
import { messageOf } from '../../runtime/log/message-of.js';
import { goldenInputs, goldenProblem } from './golden-call.js';
import { type ModelClient, type ModelClientDeps, openModelClient, type UnaryAnswer } from './grpc-client.js';
import { type ListedModel, listModels } from './model-directory.js';
import type { ModelProbe, ProbeAnswer } from './probe.js';

const MAX_METADATA_BYTES = 1024 * 1024;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const MAX_DETAILS = 200;

/**
 * The golden probe of one model: sends the golden input of its card as an ordinary ModelInfer and
 * compares the answer with the golden output, within the card's tolerance. It goes to the model
 * directly, so that a full queue does not fail it.
 */
class GoldenProbe {
  private request: Buffer | undefined;

  constructor(
    private readonly client: ModelClient,
    private readonly model: string,
    private readonly version: string,
    private readonly card: GoldenCard,
  ) {}

  /**
   * `timeoutMs` holds for each of two calls: ModelMetadata (for the datatypes, once) and
   * ModelInfer.
   */
  async ask(timeoutMs: number): Promise<ProbeAnswer> {
    if (this.request === undefined) {
      const asked = encodeMetadataRequest(this.model, this.version);
      const options = { timeoutMs, maxBytes: MAX_METADATA_BYTES };
      const metadata = await this.client.call(MODEL_METADATA, asked, options);
      if (metadata.kind === 'silent') return metadata;
      const problem = this.prepare(metadata);
      if (problem !== undefined) return { kind: 'failed', why: problem };
    }
    const options = { timeoutMs, maxBytes: MAX_ANSWER_BYTES };
    const answer = answerOf(await this.client.call(MODEL_INFER, this.request!, options), this.card);
    if (answer.kind !== 'passed') this.request = undefined; // the server may serve another model by now
    return answer;
  }

  /**
   * Encodes the request, with FP32 where neither card nor server states a datatype. Returns the
   * problem, if there is one.
   */
  private prepare(metadata: UnaryAnswer): string | undefined {
    try {
      const declared = metadata.kind === 'message' ? decodeMetadataResponse(metadata.message).inputs : [];
      const inputs = goldenInputs(this.card, declared);
      this.request = encodeInferRequest(this.model, this.version, inputs, Object.keys(this.card.outputs));
      return undefined;
    } catch (error) {
      return `the golden input does not fit the model: ${messageOf(error)}`;
    }
  }
}

/** A model to probe; `version` undefined: the highest. */
export interface ProbedModel {
  readonly name: string;
  readonly version: string | undefined;
}

/**
 * The golden probes of the models of one server, in turn. After a failure the directory is read
 * again: a server that was restarted serves what is in it by then.
 */
export class GoldenProbes implements ModelProbe {
  readonly name = 'the golden input';
  private models: readonly ListedModel[] = [];
  private probes: ReadonlyMap<string, GoldenProbe> = new Map();
  private isStale = false;

  private constructor(
    private readonly directory: string,
    private readonly client: ModelClient,
    /** The only model, and its version where that is known; absent: all of the directory, each at its highest. */
    private readonly only?: ProbedModel,
  ) {}

  /**
   * A probe for each model of `directory`, over one connection to `address`.
   *
   * @throws Error of one line when the directory is unreadable, empty, or a card of it is missing
   * or wrong.
   */
  static open(directory: string, address: Address, deps: ModelClientDeps): GoldenProbes {
    const opened = new GoldenProbes(directory, openModelClient(address, deps));
    opened.read();
    return opened;
  }

  /**
   * For one model of `directory`. A card that cannot be read is a failure of the probe, not of the
   * start.
   */
  static ofModel(
    directory: string,
    model: ProbedModel,
    address: Address,
    deps: ModelClientDeps,
  ): GoldenProbes {
    const made = new GoldenProbes(directory, openModelClient(address, deps), model);
    made.isStale = true;
    return made;
  }

  async ask(timeoutMs: number): Promise<ProbeAnswer> {
    try {
      if (this.isStale) this.read();
    } catch (error) {
      return { kind: 'failed', why: messageOf(error) };
    }
    this.isStale = false;
    for (const [model, probe] of this.probes) {
      const answer = await probe.ask(timeoutMs);
      if (answer.kind === 'passed') continue;
      this.isStale = answer.kind === 'failed';
      const isOneOfMany = answer.kind !== 'silent' && this.probes.size > 1;
      return isOneOfMany ? { ...answer, why: `${model}: ${answer.why}` } : answer;
    }
    return { kind: 'passed' };
  }

  close(): void {
    this.client.close();
  }

  private listed(): ListedModel[] {
    const { only, directory } = this;
    if (only === undefined) return listModels(directory);
    const { name, version } = only;
    if (version !== undefined && version !== '')
      return [{ name, version, card: join(directory, name, version, 'model.yaml') }];
    return listModels(directory).filter((each) => each.name === name);
  }

  /** Reads the cards only when the list of models has changed: cards may be large. */
  private read(): void {
    const { only } = this;
    const models = this.listed();
    const expected = `${only?.name ?? '<name>'}/${only?.version || '<version>'}/model.yaml`;
    if (models.length === 0) throw new Error(`${this.directory}: found no models, expected ${expected}`);
    if (JSON.stringify(models) === JSON.stringify(this.models)) return;
    const probeOf = ({ name, version, card }: ListedModel) =>
      new GoldenProbe(this.client, name, version, readGoldenCard(card));
    this.probes = new Map(models.map((model) => [model.name, probeOf(model)]));
    this.models = models;
  }
}

function answerOf(answer: UnaryAnswer, card: GoldenCard): ProbeAnswer {
  if (answer.kind === 'silent') return answer;
  if (answer.kind === 'status') {
    // The server's deadline may pass a moment before our timeout.
    if (answer.status === Status.DEADLINE_EXCEEDED) return { kind: 'silent', why: 'no answer in time' };
    const details = answer.message.replace(/\s+/g, ' ').slice(0, MAX_DETAILS);
    const status = statusName(answer.status);
    return { kind: 'failed', why: `the golden input got ${status}${details === '' ? '' : `: ${details}`}` };
  }
  try {
    const problem = goldenProblem(decodeInferResponse(answer.message), card);
    return problem === undefined ? { kind: 'passed' } : { kind: 'wrong', why: problem };
  } catch (error) {
    return { kind: 'wrong', why: `the golden output cannot be read: ${messageOf(error)}` };
  }
}
