import { errorBurst } from './behaviours.js';
import type { Drill } from './drill.js';
import { freeze } from './freeze.js';
import { kill } from './kill.js';

/**
 * All drills, in the order in which they run and stand in reports: first what happens to processes, then what they do wrong,
 * then loads, restarts and networks.
 */
export const DRILLS: readonly Drill[] = [kill, freeze, errorBurst];
