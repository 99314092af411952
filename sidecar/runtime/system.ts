import type { RuntimeDeps } from './deps.js';
import { systemRandom } from './random.js';
import { systemClock } from './time/clock.js';
import { systemTimers } from './time/timers.js';

/** Time and chance of this machine, for programs; all else gets them passed in. */
export const SYSTEM: RuntimeDeps = { clock: systemClock, random: systemRandom, timers: systemTimers };
