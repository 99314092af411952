/** Drills in which one replica is told to behave badly for a while. */

import { status } from '@grpc/grpc-js';
import { type Behaviour, WELL } from '../protocol/behaviour.js';
import type { Drill } from './drill.js';

/** The victim behaves so while the fault lasts, and well after it. */
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

/** A proxy that takes the status from headers has passed the call on as a good one when the failure comes. */
export const lateErrors = behaviourDrill(
  {
    name: 'late-errors',
    title: 'One replica fails every call late',
    does: 'One replica of three sends headers, works as long as usual and then ends every call with UNAVAILABLE in trailers, for 4.5 s.',
    set: 'full',
  },
  { does: 'fail', code: status.UNAVAILABLE, form: 'late' },
);

/** Throttled, swapping or with a busy neighbour: nothing fails, and everything waits. */
export const slow = behaviourDrill(
  {
    name: 'slow',
    title: 'One replica is ten times slower',
    does: 'Every run of one replica of three takes ten times as long, for 4.5 s.',
    set: 'standard',
  },
  { does: 'slow', factor: 10 },
);

/** No status tells: only a look at the answers does. */
export const nan = behaviourDrill(
  {
    name: 'nan',
    title: 'One replica answers with NaN',
    does: 'One replica of three answers OK, with NaN in the place of every probability, for 4.5 s.',
    set: 'standard',
  },
  { does: 'nan' },
);

/** As `nan`, in the other way in which an answer can be seen to be wrong. */
export const wrongShape = behaviourDrill(
  {
    name: 'wrong-shape',
    title: 'One replica answers in a wrong shape',
    does: 'One replica of three answers OK, with one probability less than there are classes, for 4.5 s.',
    set: 'full',
  },
  { does: 'wrong-shape' },
);

/** Alive by every check of its process, and without an answer. */
export const hang = behaviourDrill(
  {
    name: 'hang',
    title: 'One replica takes calls and never answers',
    does: 'One replica of three takes every call and answers none, while its health service says SERVING, for 4.5 s.',
    set: 'full',
  },
  { does: 'hang' },
);

/** A process that starts well and dies soon, again and again. */
export const crashLoop = behaviourDrill(
  {
    name: 'crash-loop',
    title: 'One replica dies again and again',
    does: 'The model process of one replica of three ends 0.3 s after each of its starts, for 6 s.',
    set: 'standard',
    times: { faultMs: 6_000 },
  },
  { does: 'crash', afterMs: 300 },
);

/** A leak: slow at first, and then the machine's problem. Bounded, as the machine is not ours. */
export const memoryHog = behaviourDrill(
  {
    name: 'memory-hog',
    title: 'One replica leaks memory',
    does: 'The model process of one replica of three holds 64 MB more each second, up to 256 MB, for 4.5 s.',
    set: 'full',
  },
  { does: 'hoard', mbPerSecond: 64, mostMb: 256 },
);
