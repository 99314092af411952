/** What faults of the machine need beside processes: brought up with an arm, where a drill asks for it, and released with it. */

import { SmallDisk } from './small-disk.js';
import { SteppedClock } from './stepped-clock.js';

/** Things beside clients, models and wires that some drills break: an arm is started with at most one of them. */
export type Equipment = 'none' | 'clock' | 'disk' | 'consul';

/** At most one of them is there. */
export interface Tools {
  /** The clock of the machine that the victim is on. */
  readonly clock: SteppedClock | undefined;
  readonly disk: SmallDisk | undefined;
  /** Variables for the processes of a replica, beside those of the command. */
  envOf(replica: number): Readonly<Record<string, string>>;
  /** Releases everything. Safe to call twice. */
  close(): void;
}

/** @param dir private folder of the run. @param victim the replica that most faults are about. */
export function openTools(
  equipment: Equipment,
  { dir, victim }: { readonly dir: string; readonly victim: number },
): Tools {
  const clock = equipment === 'clock' ? SteppedClock.create(dir) : undefined;
  const disk = equipment === 'disk' ? SmallDisk.mount(dir) : undefined;
  return {
    clock,
    disk,
    envOf: (replica) => (clock !== undefined && replica === victim ? clock.env : {}),
    close: () => disk?.close(),
  };
}
