import { readPromptIds } from '../codec/engines/prompt-ids.js';
import { PREFIX_BYTES } from '../codec/grpc-message.js';
import { readInferParameter, readSequenceStart } from '../codec/infer-parameter.js';
import type { HashOn } from '../config/model.js';
import { NO_KEY } from '../core/balancing/balancer.js';
import { hashNumbers, hashText } from '../core/balancing/hash.js';
import { BLOCK_TOKENS, blocksOf, MOST_BLOCKS } from '../core/balancing/prompt-blocks.js';
import { Next } from '../relay/next.js';
import { prefixOf } from '../relay/request-prefix.js';
import type { OutboundCall } from './call.js';
import { awaitBytes, awaitModel } from './called-model/called-model.js';

/** Key of a call that sticks by something in its request which has not been read yet. */
export const KEY_UNREAD = -2;

/** Bytes of the message that are looked at: first as many, then as many at most. */
const FIRST_BYTES = 4 * 1024;
const MOST_BYTES = 64 * 1024;

const NO_BLOCKS = new Uint32Array(0);
/** Of the prompt that is read, for one at a time; null: none has been. */
let ids: Uint32Array | null = null;

/** Why a call goes where the load says although its upstream has a hash key, or goes by prompts. */
export const KEYLESS_REASONS = ['absent', 'beyond', 'compressed', 'malformed', 'incomplete'] as const;
export type KeylessReason = (typeof KEYLESS_REASONS)[number];

type Found = { readonly key: number } | { readonly keyless: KeylessReason } | { readonly needed: number };

/**
 * Reads the keys of calls from a parameter in their first message, or from the model that it names (`balance.hash_on`). A call without one, or whose message
 * cannot be read, goes where the load says, and is counted by the reason.
 */
export class ParameterKeys {
  readonly keyless: Record<KeylessReason, number> = {
    ...{ absent: 0, beyond: 0, compressed: 0, malformed: 0, incomplete: 0 },
  };

  /**
   * Before an attempt. `handled`: the call waits until more of its first message is here. A stream may be open for long
   * before that comes, so that only the limits of the call bound the wait.
   */
  awaitKey(call: OutboundCall, { parameter, prompt }: HashOn): Next {
    if (prompt !== undefined) return this.readPromptKey(call, prompt.tokens);
    if (parameter === undefined) return this.awaitModelKey(call);
    const found = find(call, parameter);
    if ('needed' in found && !call.requestEnded && call.isReplayable) {
      awaitBytes(call, found.needed);
      return Next.handled;
    }
    call.isRequestAwaited = false;
    const isBound = 'key' in found;
    call.routeDecision = { ...call.routeDecision!, key: isBound ? found.key : NO_KEY, isBound };
    if (!isBound) this.keyless['keyless' in found ? found.keyless : 'incomplete']++;
    return Next.continue;
  }

  /** The same by the model that the call names; one that names none that can be told counts as `absent`. */
  private awaitModelKey(call: OutboundCall): Next {
    if (awaitModel(call) === Next.handled) return Next.handled;
    const { modelName } = call.called!;
    const key = modelName === '' ? NO_KEY : hashText(modelName);
    if (key === NO_KEY) this.keyless.absent++;
    call.routeDecision = { ...call.routeDecision!, key };
    return Next.continue;
  }

  /** The same by the beginning of its prompt. Calls of engines have waited for all of their request. */
  private readPromptKey(call: OutboundCall, tokens: number): Next {
    const { engine } = call.plan;
    const ids = new Uint32Array(tokens);
    const read =
      engine === null || call.buffered === null ? 'absent' : readPromptIds(engine.codec, call.buffered, ids);
    if (typeof read === 'string') this.keyless[read]++;
    const key = typeof read === 'string' ? NO_KEY : hashNumbers(ids, read);
    call.routeDecision = { ...call.routeDecision!, key };
    return Next.continue;
  }

  /** Reads the blocks of its prompt where the choice of an endpoint asks for them, once for all attempts. */
  readPrompt({ cluster, engineCall, buffered }: OutboundCall): void {
    if (engineCall === null || engineCall.prompt !== null || cluster.balancer.recordPrompt === undefined)
      return;
    engineCall.prompt = NO_BLOCKS;
    ids ??= new Uint32Array(BLOCK_TOKENS * MOST_BLOCKS);
    const read = buffered === null ? 'absent' : readPromptIds(engineCall.codec, buffered, ids);
    if (typeof read === 'string') this.keyless[read]++;
    else engineCall.prompt = blocksOf(ids, read);
  }

  /** More of the request has come: whether that is worth a look. */
  isReadable({ buffered, wait, isRequestAwaited }: OutboundCall): boolean {
    return isRequestAwaited && buffered !== null && buffered.bytes >= (wait?.keyBytes ?? 0);
  }
}

/** Whether the call says that it is the first of its sequence. */
export function startsSequence({ buffered }: OutboundCall): boolean {
  if (buffered === null || buffered.bytes <= PREFIX_BYTES) return false;
  const head = prefixOf(buffered, PREFIX_BYTES + FIRST_BYTES);
  return head[0] === 0 && readSequenceStart(head.subarray(PREFIX_BYTES, PREFIX_BYTES + head.readUInt32BE(1)));
}

/** Looks at no more than four lengths of the beginning, however it comes in. */
function find({ buffered }: OutboundCall, parameter: string): Found {
  const has = buffered === null ? 0 : buffered.bytes;
  if (has < PREFIX_BYTES) return { needed: PREFIX_BYTES };
  const head = prefixOf(buffered!, PREFIX_BYTES + MOST_BYTES);
  if (head[0] !== 0) return { keyless: head[0] === 1 ? 'compressed' : 'malformed' };
  const length = head.readUInt32BE(1);
  const most = PREFIX_BYTES + Math.min(length, MOST_BYTES);
  const reading = readInferParameter(head.subarray(PREFIX_BYTES, PREFIX_BYTES + length), length, parameter);
  if (reading.kind === 'found') return { key: hashText(reading.value) };
  if (reading.kind !== 'more') return { keyless: reading.kind };
  if (has >= most) return { keyless: 'beyond' };
  return { needed: has < PREFIX_BYTES + FIRST_BYTES ? Math.min(most, PREFIX_BYTES + FIRST_BYTES) : most };
}
