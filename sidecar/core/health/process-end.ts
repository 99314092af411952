/**
 * What the end of a model process says about the calls in it. A process that crashed, or had to be killed while it used CPU, may
 * have ended because of one of them, so that they are dangerous to repeat. An end from outside, and a process that stood still,
 * implicate no call.
 */
export const EndClass = {
  /** By itself: a fault, an abort, an exit code other than 0, or out of memory. */
  crashed: 'crashed',
  /** Killed by its supervisor while it used CPU. */
  killedBusy: 'killed-busy',
  /** Killed by its supervisor while it stood still. */
  killedFrozen: 'killed-frozen',
  /** As requested, or from outside. */
  ended: 'ended',
} as const;
export type EndClass = (typeof EndClass)[keyof typeof EndClass];

/** Exit code and signal of a process; both null: it could not be started. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** The classified end of a process. */
export interface ProcessEnd {
  readonly class: EndClass;
  /** One sentence without a subject: `killed by SIGSEGV`. */
  readonly how: string;
}

/** Signals that a process causes itself (POSIX: abnormal termination with a core image), and by passing a limit of it. */
const ERRORS = ['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP', 'SIGSYS'];
const FAULTS = new Set([...ERRORS, 'SIGXCPU', 'SIGXFSZ']);

/** 128 + the signal: exit code by which a shell reports a signal (POSIX 2.8.2). */
const OF_SHELLS: Record<number, string> = { 129: 'SIGHUP', 130: 'SIGINT', 137: 'SIGKILL', 143: 'SIGTERM' };

/**
 * The class of an end that its supervisor did not cause.
 * @param isOutOfMemory the kernel's OOM killer was active at that time.
 */
export function classOfExit({ code, signal }: ProcessExit, isOutOfMemory: boolean): EndClass {
  const by = signal ?? (code === null ? null : (OF_SHELLS[code] ?? null));
  if (by === 'SIGKILL') return isOutOfMemory ? EndClass.crashed : EndClass.ended;
  if (by !== null) return FAULTS.has(by) ? EndClass.crashed : EndClass.ended;
  return code === null || code === 0 ? EndClass.ended : EndClass.crashed;
}

/** Whether a call that ran in the process may have ended it. */
export function implicatesCalls(end: EndClass): boolean {
  return end === EndClass.crashed || end === EndClass.killedBusy;
}
