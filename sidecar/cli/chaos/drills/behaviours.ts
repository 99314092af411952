/** Drills in which one replica, or every replica, is told to behave badly for a while. */

import { REPLICAS } from '../arms/arm.js';
import type { ControlServer } from '../control-server.js';
import { type Behaviour, fails, WELL } from '../protocol/behaviour.js';
import type { Drill } from './drill.js';

export async function behaveEverywhere(control: ControlServer, behaviour: Behaviour): Promise<void> {
  await Promise.all(REPLICAS.map((replica) => control.behave(replica, behaviour)));
}

/** The victim, or every replica, behaves so while the fault lasts, and well after it. */
function behaviourDrill(
  about: Omit<Drill, 'begin' | 'end'>,
  behaviour: Behaviour,
  whose: 'victim' | 'all' = 'victim',
): Drill {
  const tell = (what: Behaviour): Drill['begin'] =>
    whose === 'all'
      ? ({ control }) => behaveEverywhere(control, what)
      : ({ control, victim }) => control.behave(victim, what);
  return { ...about, begin: tell(behaviour), end: tell(WELL) };
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
  fails('at-once'),
);

/** A proxy that takes the status from headers has passed the call on as a good one when the failure comes. */
export const lateErrors = behaviourDrill(
  {
    name: 'late-errors',
    title: 'One replica fails every call late',
    does: 'One replica of three sends headers, works as long as usual and then ends every call with UNAVAILABLE in trailers, for 4.5 s.',
    set: 'full',
  },
  fails('trailers'),
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

/**
 * Well whenever it is looked at, and broken whenever it is used: each recovery invites calls for the next failure, unless an
 * ejection lasts longer each time.
 */
export const flapping = behaviourDrill(
  {
    name: 'flapping',
    title: 'One replica fails and recovers in turn',
    does: 'One replica of three fails every call for 0.5 s and answers for 0.5 s, in turn, for 6 s.',
    set: 'full',
    times: { faultMs: 6_000 },
  },
  fails('at-once', { turnMs: 500 }),
);

/**
 * Nothing can be saved while it lasts; what counts is that nothing holds it up afterwards: neither ejections of all replicas nor
 * retries that go on.
 */
export const allFail = behaviourDrill(
  {
    name: 'all-fail',
    title: 'Every replica fails, and then none',
    does: 'All three replicas answer every call with UNAVAILABLE, for 2 s.',
    set: 'full',
    times: { faultMs: 2_000, healedMs: 6_000 },
  },
  fails('at-once'),
  'all',
);

/**
 * Nothing is wrong, and it looks as if: a model that thinks for long, well within its deadline, answers nothing meanwhile. What ends
 * such runs, restarts such a process or takes such an endpoint out does harm, and its figures show it.
 */
export const longRun = behaviourDrill(
  {
    name: 'long-run',
    title: 'Runs take many seconds, as they may',
    does: 'Every job takes 6 s in the place of 0.4 s, at all three replicas and under a deadline of 15 s, for 6 s: nothing is to be done about it.',
    set: 'full',
    isHarmless: true,
    // Four jobs at each replica at a time: half of what it does at once.
    rates: { digits: 60, long: 2, stream: 3 },
    deadlines: { long: 15_000 },
    times: { faultMs: 6_000, healedMs: 6_000 },
  },
  { does: 'labour', ms: 6_000 },
  'all',
);
