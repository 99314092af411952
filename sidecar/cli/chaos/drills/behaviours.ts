/** Drills in which a replica is told to behave badly for a while: one line for each. */

import { status } from '@grpc/grpc-js';
import { type Behaviour, WELL } from '../protocol/behaviour.js';
import type { Drill } from './drill.js';

function behaviourDrill(about: Omit<Drill, 'begin' | 'end'>, behaviour: Behaviour): Drill {
  return {
    ...about,
    begin: ({ control, victim }) => control.behave(victim, behaviour),
    end: ({ control, victim }) => control.behave(victim, WELL),
  };
}

/**
 * Fails fast, which makes a replica look idle to a balancer that counts calls in flight: without ejection it draws ever more
 * calls.
 */
export const errorBurst = behaviourDrill(
  {
    name: 'error-burst',
    title: 'One replica fails every call',
    does: 'One replica of three answers every call with UNAVAILABLE at once, for 4.5 s.',
    set: 'standard',
  },
  { does: 'fail', code: status.UNAVAILABLE, form: 'early' },
);
