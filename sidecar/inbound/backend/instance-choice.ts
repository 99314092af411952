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
    const { nowMs } = this.time;
    const key = sequence === null ? '' : keyOf(call, sequence.id);
    const bound = sequence === null ? undefined : sequences.find(key, nowMs);
    const instance = bound ?? this.next();
    if (sequence?.isEnd === true) sequences.end(key);
    else if (sequence !== null && bound === undefined) sequences.bind(key, instance, nowMs);
    return instance;
  }

  /** Another one that could take a call at once; null: there is none. */
  otherThan(lost: object): ModelInstance | null {
    const others = this.instances.filter((each) => each !== lost && each.isReady && each.isConnected);
    return pickInstance(others, this.turn);
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
