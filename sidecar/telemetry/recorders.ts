import type { EndedCall, Recorder } from './call-record.js';

/** What may record calls, in the order in which each call is shown to them: traces first, as the log has the ids that they give. */
const ORDER = ['traces', 'log', 'tap'] as const;

/**
 * Several recorders as the one that the data plane has. It has none while there are none, so that a call then costs one
 * check of a field, and the recorder itself while there is one.
 */
export class Recorders implements Recorder {
  private readonly byName = new Map<(typeof ORDER)[number], Recorder>();
  private present: readonly Recorder[] = [];

  constructor(private readonly context: { recorder: Recorder | null }) {}

  /** Sets one of them, or takes it away. */
  set(which: (typeof ORDER)[number], recorder: Recorder | null): void {
    if (recorder === null) this.byName.delete(which);
    else this.byName.set(which, recorder);
    this.present = ORDER.flatMap((each) => this.byName.get(each) ?? []);
    this.context.recorder = this.present.length > 1 ? this : (this.present[0] ?? null);
  }

  /** Called only where there are several; a single one is called by the data plane itself. */
  record(call: EndedCall, status: number): void {
    for (const recorder of this.present) recorder.record(call, status);
  }
}
