/** Drills in which more is asked than can be served. What is over must fail; the question is how much of the rest is lost. */

import { REPLICAS } from '../arms/arm.js';
import { USUAL_DEADLINES } from '../load/client.js';
import { USUAL_RATES } from '../load/load.js';
import { even } from '../load/open-load.js';
import { WELL } from '../protocol/behaviour.js';
import { PLACES } from '../protocol/service.js';
import { behaveEverywhere } from './behaviours.js';
import type { Drill } from './drill.js';

/** How long each run of the digits model takes while the fault lasts, ms: 50 calls a second of each replica. */
const RUN_MS = 160;
/** What three replicas can serve then, a second. */
const CAPACITY = (REPLICAS.length * PLACES * 1_000) / RUN_MS;
const BEFORE = { ...USUAL_RATES, digits: 45, long: 2, stream: 2 };

function overload(times: number, set: Drill['set']): Drill {
  return {
    name: `overload-${times}`,
    title: `${times} times as much is asked as can be served`,
    does: `Every replica serves ${CAPACITY / REPLICAS.length} calls a second at most, and ${times * CAPACITY} a second are made to all three, for 4.5 s.`,
    set,
    rates: BEFORE,
    begin: async ({ control, load }) => {
      await behaveEverywhere(control, { does: 'narrow', places: PLACES, runMs: RUN_MS });
      load.change(even({ ...BEFORE, digits: times * CAPACITY }));
    },
    end: async ({ control, load, sleep }) => {
      load.change(even(BEFORE));
      // What waits has its deadline before the models are fast again: else the longest queue would win in the moment of healing.
      await sleep(USUAL_DEADLINES.digits);
      await behaveEverywhere(control, WELL);
    },
  };
}

/** A busy hour: half of the calls can be served, and the question is whether that half is. */
export const overload2 = overload(2, 'standard');
/** A caller that has lost its mind: most calls are refused whatever is done. */
export const overload5 = overload(5, 'full');
