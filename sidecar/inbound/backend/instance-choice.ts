import { pickInstance } from '../../core/models/pick-instance.js';
import { SequenceTable } from '../../core/models/sequence-table.js';
import type { InboundCall } from '../call.js';
import type { ModelInstance } from '../model-instance.js';
import { sequenceOf } from '../sequence-of.js';

/**
 * Which instance of a model gets a call: the one that has the call's sequence, else the one with the fewest calls. Of one instance
 * there is nothing to choose, and requests are not read for sequences.
 */
export class InstanceChoice {
  /** Null: there is one instance. */
  private readonly sequences: SequenceTable<ModelInstance> | null;
  /** Where the search for the next instance begins. */
  private turn = 0;

  constructor(
    /** At least one. */
    private readonly instances: readonly ModelInstance[],
    private readonly time: { readonly nowMs: number },
  ) {
    this.sequences = instances.length === 1 ? null : new SequenceTable();
  }

  /** The instance for a call. Where none is ready it is the first one, whose end the call learns. */
  of(call: InboundCall): ModelInstance {
    const { instances, sequences } = this;
    if (sequences === null) return instances[0]!;
    const sequence = sequenceOf(call);
    if (sequence === null) return this.next();
    const { nowMs } = this.time;
    const key = keyOf(call, sequence.id);
    const bound = sequences.find(key, nowMs);
    const instance = bound ?? this.next();
    call.isLaterInSequence = bound !== undefined;
    if (sequence.isEnd) sequences.end(key);
    else if (bound === undefined) sequences.bind(key, instance, nowMs);
    return instance;
  }

  /**
   * Another one that could take the call at once, after its own did not; null: there is none, or the call needs what its own knows of
   * its sequence. The sequence of a first call is there from then on.
   */
  otherFor(call: InboundCall, lost: object): ModelInstance | null {
    if (call.isLaterInSequence) return null;
    const others = this.instances.filter((each) => each !== lost && each.isReady && each.isConnected);
    const instance = pickInstance(others, this.turn);
    const sequence = instance === null || this.sequences === null ? null : sequenceOf(call);
    if (sequence !== null && !sequence.isEnd)
      this.sequences!.bind(keyOf(call, sequence.id), instance!, this.time.nowMs);
    return instance;
  }

  /** What instances that are away had of sequences is gone with their processes. */
  forgetAway(): void {
    if (this.sequences === null) return;
    for (const each of this.instances) if (each.state.kind === 'away') this.sequences.forget(each);
  }

  private next(): ModelInstance {
    const { instances } = this;
    const instance = pickInstance(instances, this.turn) ?? instances[0]!;
    this.turn = instances.indexOf(instance) + 1;
    return instance;
  }
}

/** Each caller has its own ids, as at the model: the end of one caller's sequence is not the end of another's. */
function keyOf({ caller }: InboundCall, id: string): string {
  return `${caller?.service ?? ''}\n${id}`;
}
