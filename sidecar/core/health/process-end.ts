/**
 * What the end of a model process says about the calls that ran in it. A process that died of itself, or had to be killed
 * while it burnt CPU, may have died of one of them: such a call is dangerous to repeat. An end that came from outside, and
 * a process that stood still, implicate no call.
 */

export const EndClass = {
  /** It died of itself: a fault, an abort, a code other than 0, or for want of memory. */
  crashed: 'crashed',
  /** It was killed by its supervisor while it used CPU. */
  killedBusy: 'killed-busy',
  /** It was killed by its supervisor while it stood still. */
  killedFrozen: 'killed-frozen',
  /** It ended as asked, or was ended from outside. */
  ended: 'ended',
} as const;
export type EndClass = (typeof EndClass)[keyof typeof EndClass];

/** How a process ended by itself or by others; both null: it could not be started. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface ProcessEnd {
  readonly class: EndClass;
  /** One sentence without a subject: `killed by SIGSEGV`. */
  readonly how: string;
}

/** Signals that a process gets for what it did itself (POSIX: their default action is an abnormal end with a core image). */
const FAULTS = new Set([
  'SIGSEGV',
  'SIGABRT',
  'SIGBUS',
  'SIGILL',
  'SIGFPE',
  'SIGTRAP',
  'SIGSYS',
  'SIGXCPU',
  'SIGXFSZ',
]);

/** 128 + the signal: how a shell reports the end of what it ran (POSIX, 2.8.2). */
const OF_SHELLS: Readonly<Record<number, string>> = {
  129: 'SIGHUP',
  130: 'SIGINT',
  137: 'SIGKILL',
  143: 'SIGTERM',
};

/**
 * The class of an end that its supervisor did not cause.
 * @param isOutOfMemory the kernel killed some process for want of memory about then.
 */
export function classOfExit({ code, signal }: ProcessExit, isOutOfMemory: boolean): EndClass {
  const by = signal ?? (code === null ? null : (OF_SHELLS[code] ?? null));
  if (by === 'SIGKILL') return isOutOfMemory ? EndClass.crashed : EndClass.ended;
  if (by !== null) return FAULTS.has(by) ? EndClass.crashed : EndClass.ended;
  return code === null || code === 0 ? EndClass.ended : EndClass.crashed;
}

/** Whether calls that ran in the process may be what ended it. */
export function implicatesCalls(end: EndClass): boolean {
  return end === EndClass.crashed || end === EndClass.killedBusy;
}
