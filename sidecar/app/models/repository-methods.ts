import {
  decodeIndexRequest,
  decodeModelRequest,
  encodeIndex,
  REPOSITORY_INDEX,
  REPOSITORY_LOAD,
  REPOSITORY_UNLOAD,
} from '../../codec/repository.js';
import { decodeStatisticsRequest, encodeStatistics, MODEL_STATISTICS } from '../../codec/statistics.js';
import { ModelReplyReasons } from '../../core/outcome/local-reply-reason.js';
import type { FrontAnswer, FrontMethods } from '../../inbound/front-methods.js';
import { messageOf } from '../../runtime/log/message-of.js';
import type { CommandResult, ModelControl, ModelRepository } from './model-repository.js';
import type { StatisticsReader } from './statistics-reader.js';

const EMPTY: FrontAnswer = { kind: 'message', message: Buffer.alloc(0) };
/** Parameters that change nothing about what is loaded: Triton's, of unload. */
const KNOWN_PARAMETERS = ['unload_dependents'];

/**
 * RepositoryIndex, RepositoryModelLoad and RepositoryModelUnload (Triton's model repository extension), answered from the
 * repository, the last two only with `control: explicit`; and ModelStatistics, for all processes of a model together.
 */
export class RepositoryMethods implements FrontMethods {
  constructor(
    private readonly repository: ModelRepository,
    private readonly control: ModelControl,
    private readonly statistics: StatisticsReader | undefined,
  ) {}

  has(path: string): boolean {
    if (path === MODEL_STATISTICS) return this.statistics !== undefined;
    return path === REPOSITORY_INDEX || path === REPOSITORY_LOAD || path === REPOSITORY_UNLOAD;
  }

  async answer(path: string, message: Buffer): Promise<FrontAnswer> {
    try {
      if (path === REPOSITORY_INDEX) return this.index(message);
      if (path === MODEL_STATISTICS) return await this.counts(message, this.statistics!);
      return await this.command(path, message);
    } catch (error) {
      return refused(ModelReplyReasons.badRequest, `the request cannot be read: ${messageOf(error)}`);
    }
  }

  private index(message: Buffer): FrontAnswer {
    const { ready } = decodeIndexRequest(message);
    const all = this.repository.index();
    return {
      kind: 'message',
      message: encodeIndex(ready ? all.filter(({ state }) => state === 'READY') : all),
    };
  }

  /** Of all instances of a version together, and over their restarts. */
  private async counts(message: Buffer, statistics: StatisticsReader): Promise<FrontAnswer> {
    const { name, version } = decodeStatisticsRequest(message);
    await statistics.read();
    const all = statistics.statistics();
    const asked = all.filter(
      (each) => (name === '' || each.name === name) && (version === '' || each.version === version),
    );
    if (asked.length > 0 || name === '') return { kind: 'message', message: encodeStatistics(asked) };
    const what = version === '' ? `'${name}'` : `'${name}' version ${version}`;
    return refused(ModelReplyReasons.notFoundHere, `Request for unknown model: ${what} is not found`);
  }

  private async command(path: string, message: Buffer): Promise<FrontAnswer> {
    const { notServedHere } = ModelReplyReasons;
    if (this.control !== 'explicit') {
      const says = `found repository.control: ${this.control}; expected explicit, with which models are loaded and unloaded on command`;
      return refused(notServedHere, says);
    }
    const { model, parameters } = decodeModelRequest(message);
    const foreign = parameters.find((name) => !KNOWN_PARAMETERS.includes(name));
    if (foreign !== undefined)
      return refused(
        notServedHere,
        `parameter '${foreign}' is not served here: a model is loaded from its directory`,
      );
    if (path === REPOSITORY_UNLOAD) return unloadAnswer(this.repository.unloadModel(model));
    return loadAnswer(model, await this.repository.loadModel(model));
  }
}

/** Codes and words are those of Triton's model repository manager. */
function loadAnswer(model: string, result: CommandResult): FrontAnswer {
  const { badRequest, notFoundHere } = ModelReplyReasons;
  if (result.kind === 'done') return EMPTY;
  if (result.kind === 'unknown') return refused(notFoundHere, `failed to load '${model}', ${result.why}`);
  return refused(badRequest, `load failed for model '${model}': ${result.why}`);
}

function unloadAnswer(result: CommandResult): FrontAnswer {
  if (result.kind === 'done') return EMPTY;
  return refused(ModelReplyReasons.notFoundHere, `Request for unknown model: ${result.why}`);
}

function refused(reason: Extract<FrontAnswer, { kind: 'refused' }>['reason'], detail: string): FrontAnswer {
  return { kind: 'refused', reason, detail };
}
