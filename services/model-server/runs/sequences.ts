/**
 * The sequences of one model: what it keeps between the requests that carry the same `sequence_id` (Triton's sequence
 * extension). Bounded in number, and each ends when it has been idle for too long; a request of a sequence that is not
 * here is refused with the reason, so that its caller can start again instead of getting an answer out of no context.
 */

import { invalidArgument, RpcError, status } from '../rpc.js';

export interface Sequence {
  readonly id: string;
  readonly caller: string;
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
  /** Why those that wait for it are refused; empty: they are not. */
  lostWhy: string;
  lastMs: number;
}

/** Bounds of the sequences of one model. */
export interface SequenceLimits {
  /** A sequence without a request for so long ends, ms. */
  readonly idleMs: number;
  /** Sequences at once, of all callers. When all are taken, see `Sequences`. */
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
/** For an idle sequence so many are looked at where one that is not running is known already. */
const MOST_LOOKS = 1000;
/** How many ids of sequences that ended are remembered with the reason. */
const REMEMBERED = 1000;

/** A name in a header has no line feed, so that two callers never have the same key, whatever their ids are. */
function keyOf(caller: string, id: string): string {
  return `${caller}\n${id}`;
}

const FRESH = { busy: false, hasRun: false, lostWhy: '' };
/** Its first request: those that waited behind it are not run. */
const NEVER_RAN = 'its first request never ran';

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
 *
 * While there is room a caller may have any number. When all are taken, callers share them alike: one with less than its share gets
 * a sequence of a caller with more, that one which has been idle longest, or, where a request waits for each of them, one that is not running. Any
 * other gets one of its own, or of a caller with more than its share, if it has been idle for a second.
 */
export class Sequences {
  private readonly live = new Map<string, Sequence>();
  private readonly ended = new Map<string, string>();
  /** How many of the live ones each caller has. */
  private readonly held = new Map<string, number>();
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
      if (sequence === undefined) {
        this.makeRoom(caller);
        this.held.set(caller, this.heldBy(caller) + 1);
      } else if (sequence.ending) this.counts.ended += 1;
      sequence = { id, caller, key, state: undefined, ending: false, pending: 0, ...FRESH, lastMs: 0 };
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
      sequence.lostWhy = NEVER_RAN;
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

  private makeRoom(caller: string): void {
    if (this.live.size < this.limits.max) return;
    const victim = this.victimFor(caller);
    if (victim === undefined)
      throw new RpcError(
        status.RESOURCE_EXHAUSTED,
        `model '${this.model}': all ${this.limits.max} sequences are in use (sequence.max of model.yaml)`,
      );
    const why = `it gave way to another when all ${this.limits.max} were taken`;
    victim.lostWhy = why;
    this.remove(victim, why);
    this.counts.evicted += 1;
  }

  /** Which sequence gives way to a new one of this caller; undefined: none. */
  private victimFor(caller: string): Sequence | undefined {
    const others = this.held.size - Number(this.held.has(caller));
    const share = this.limits.max / (others + 1);
    const isBelow = this.heldBy(caller) < share;
    const since = this.now() - LEAST_IDLE_MS;
    let waiting: Sequence | undefined;
    let looks = 0;
    for (const sequence of this.live.values()) {
      const hasMore = this.heldBy(sequence.caller) > Math.max(share, 1);
      if (!isBelow && sequence.lastMs > since) return undefined;
      looks += 1;
      if (waiting !== undefined && looks > MOST_LOOKS) return waiting;
      const isOwn = !isBelow && sequence.caller === caller;
      // With more callers than sequences nobody has a share: the one that has been idle longest gives way.
      if (!isOwn && !hasMore && share >= 1) continue;
      if (sequence.pending === 0 && (sequence.lastMs <= since || (isBelow && hasMore))) return sequence;
      if (isBelow && hasMore && !sequence.busy) waiting ??= sequence;
    }
    return waiting;
  }

  private heldBy(caller: string): number {
    return this.held.get(caller) ?? 0;
  }

  private touch(sequence: Sequence): void {
    sequence.lastMs = this.now();
    this.live.delete(sequence.key);
    this.live.set(sequence.key, sequence);
  }

  private remove(sequence: Sequence, why: string): void {
    this.live.delete(sequence.key);
    const left = this.heldBy(sequence.caller) - 1;
    if (left > 0) this.held.set(sequence.caller, left);
    else this.held.delete(sequence.caller);
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
