import type { Random } from './random.js';
import type { Clock } from './time/clock.js';
import type { Timers } from './time/timers.js';

/** Time as it is passed in: the machine's own, or one that a test moves. */
export interface TimeDeps {
  readonly clock: Clock;
  readonly timers: Timers;
}

/** Time and chance as they are passed in. */
export interface RuntimeDeps extends TimeDeps {
  readonly random: Random;
}
