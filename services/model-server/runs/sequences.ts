/**
 * The sequences of one model: what it keeps between the requests that carry the same `sequence_id` (Triton's sequence
 * extension). Bounded in number, and each ends when it has been idle for too long; a request of a sequence that is not
 * here is refused with the reason, so that its caller can start again instead of getting an answer out of no context.
 */

import { invalidArgument, RpcError, status } from '../rpc.js';

/** One sequence. */
export interface Sequence {
  readonly id: string;
  /** Caller and id: what it is found by. */
  readonly key: string;
  /** Whatever the model keeps; undefined at its start. */
  state: unknown;
  /** Its last request has arrived. */
  ending: boolean;
  /** Requests that wait or run: none of them is idle. */
  pending: number;
  /** A request of it runs. */
  busy: boolean;
  /** A request of it has run, or runs: before that there is no state that another could build on. */
  hasRun: boolean;
  /** Its first request never ran: those that wait behind it are refused. */
  isLost: boolean;
  lastMs: number;
}

/** Bounds of the sequences of one model. */
export interface SequenceLimits {
  /** A sequence without a request for so long ends, ms. */
  readonly idleMs: number;
  /** Sequences at once. When all are taken, the one that has been idle longest gives way, if it has been so for a second. */
  readonly max: number;
}

/** What a request says of its sequence. */
export interface SequenceFlags {
  readonly id: string;
  readonly start: boolean;
  readonly end: boolean;
}

/** Metadata of a request: the service that calls, by its certificate. A sidecar sets it, and takes away what a caller sent under this name. */
export const CALLER_KEY = 'outrider-caller';

/** Sequences younger than this are not ended for the sake of a new one, ms. */
const LEAST_IDLE_MS = 1000;
/** How many ids of sequences that ended are remembered with the reason. */
const REMEMBERED = 1000;

/** A name in a header has no line feed, so that two callers never have the same key, whatever their ids are. */
function keyOf(caller: string, id: string): string {
  return `${caller}\n${id}`;
}

const FRESH = { busy: false, hasRun: false, isLost: false };
/** Why requests that waited behind it are not run. */
export const NEVER_RAN = 'its first request never ran';

/** What is said to a request whose sequence is not here. */
export function unknownSequence(model: string, id: string, why: string): RpcError {
  return new RpcError(
    status.FAILED_PRECONDITION,
    `model '${model}': sequence '${id}' is not known: ${why}; expected sequence_start on its first request`,
    { 'outrider-sequence': 'lost' },
  );
}

/**
 * In the order of their last request, the oldest first. Each caller has its own ids, so that none reads or ends what another's requests
 * have left. All callers without a name have one set of them, as where no sidecar says who calls.
 */
export class Sequences {
  private readonly live = new Map<string, Sequence>();
  private readonly ended = new Map<string, string>();
  /** Sequences that ended by their last request, by idleness, and to make room. */
  readonly counts = { started: 0, ended: 0, idle: 0, evicted: 0, lost: 0 };

  constructor(
    private readonly model: string,
    private readonly limits: SequenceLimits,
    private readonly now: () => number,
  ) {}

  get size(): number {
    return this.live.size;
  }

  /**
   * The sequence of a request of `caller` that has arrived. FAILED_PRECONDITION for one that is not here and does not start;
   * RESOURCE_EXHAUSTED for a new one when all are in use.
   */
  enter({ id, start, end }: SequenceFlags, caller = ''): Sequence {
    this.endIdle();
    const key = keyOf(caller, id);
    let sequence = this.live.get(key);
    // After its last request, another of the same id may begin while that one still waits or runs.
    if (start) {
      if (sequence !== undefined && sequence.pending > 0 && !sequence.ending)
        throw invalidArgument(
          `model '${this.model}': sequence '${id}' is started again while a request of it waits or runs`,
        );
      if (sequence === undefined) this.makeRoom();
      else if (sequence.ending) this.counts.ended += 1;
      sequence = { id, key, state: undefined, ending: false, pending: 0, ...FRESH, lastMs: 0 };
      this.counts.started += 1;
    } else if (sequence === undefined || sequence.ending) {
      this.counts.lost += 1;
      const why =
        sequence === undefined
          ? (this.ended.get(key) ?? 'it was never started here, or this process was restarted')
          : 'its last request waits or runs';
      throw unknownSequence(this.model, id, why);
    }
    sequence.pending += 1;
    sequence.ending ||= end;
    this.touch(sequence);
    return sequence;
  }

  /** The request of the sequence has been answered, or never ran. @param flags what it said of the sequence. */
  leave(sequence: Sequence, { start }: Pick<SequenceFlags, 'start'> = { start: false }): void {
    sequence.pending -= 1;
    if (this.live.get(sequence.key) !== sequence) return;
    if (sequence.ending && sequence.pending === 0) {
      this.remove(sequence, 'its last request was answered');
      this.counts.ended += 1;
    } else if (!sequence.hasRun && (start || sequence.pending === 0)) {
      sequence.isLost = true;
      this.remove(sequence, NEVER_RAN);
    } else this.touch(sequence);
  }

  /** Ends what has been idle for too long. Called with each request, so that nothing needs a timer of its own. */
  endIdle(): void {
    const since = this.now() - this.limits.idleMs;
    for (const sequence of this.live.values()) {
      if (sequence.lastMs > since) return;
      if (sequence.pending > 0) continue;
      this.remove(sequence, `it was idle for ${this.limits.idleMs} ms`);
      this.counts.idle += 1;
    }
  }

  private makeRoom(): void {
    if (this.live.size < this.limits.max) return;
    const since = this.now() - LEAST_IDLE_MS;
    for (const sequence of this.live.values()) {
      if (sequence.lastMs > since) break;
      if (sequence.pending > 0) continue;
      this.remove(sequence, `it gave way to another when all ${this.limits.max} were taken`);
      this.counts.evicted += 1;
      return;
    }
    throw new RpcError(
      status.RESOURCE_EXHAUSTED,
      `model '${this.model}': all ${this.limits.max} sequences are in use (sequence.max of model.yaml)`,
    );
  }

  private touch(sequence: Sequence): void {
    sequence.lastMs = this.now();
    this.live.delete(sequence.key);
    this.live.set(sequence.key, sequence);
  }

  private remove(sequence: Sequence, why: string): void {
    this.live.delete(sequence.key);
    sequence.state = undefined;
    this.ended.delete(sequence.key);
    this.ended.set(sequence.key, why);
    if (this.ended.size <= REMEMBERED) return;
    for (const key of this.ended.keys()) {
      this.ended.delete(key);
      return;
    }
  }
}
