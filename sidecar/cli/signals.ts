import { closeSync, constants, openSync } from 'node:fs';
import { attempt } from '../runtime/attempt.js';
import { systemClock } from '../runtime/time/clock.js';
import { whenNpmShellEnds } from './npm-shell.js';

const ENDING: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/**
 * One Ctrl-C may arrive twice within this time: from the terminal, and from npm, which forwards it.
 */
const SAME_CTRL_C_MS = 300;

export interface EndRequests {
  /** Resolves at the first request with the signal's name, or the reason given to `ask`. */
  readonly first: Promise<string>;
  /** Resolves at the second. */
  readonly second: Promise<string>;
  /** Counts as a signal, for reasons inside the program. */
  ask(why: string): void;
  /** Removes the signal handlers. */
  release(): void;
}

/** An orderly end, and an immediate one. */
const REQUESTS = 2;

/**
 * Handles the signals that end a long-running command (SIGINT, SIGTERM, SIGHUP): the first asks for
 * an orderly end, the second for an immediate one. SIGTERM to npx counts as one of them.
 *
 * @param except signals with another meaning for this command.
 */
export function endRequests(except: readonly NodeJS.Signals[] = []): EndRequests {
  const waiting: ((why: string) => void)[] = [];
  const next = () => new Promise<string>((resolve) => waiting.push(resolve));
  const first = next();
  const second = next();
  const ask = (why: string) => waiting.shift()?.(why);
  let lastMs = Number.NEGATIVE_INFINITY;
  const onSignal = (signal: NodeJS.Signals) => {
    const nowMs = systemClock.now();
    const isEcho = signal === 'SIGINT' && nowMs - lastMs < SAME_CTRL_C_MS;
    lastMs = nowMs;
    if (!isEcho) ask(signal);
  };
  const signals = ENDING.filter((signal) => !except.includes(signal));
  for (const signal of signals) process.on(signal, onSignal);
  // A Ctrl-C ends the shell too; the drain that it has begun goes on.
  const unwatch = whenNpmShellEnds(() => {
    if (waiting.length === REQUESTS) ask('SIGTERM');
  });
  return {
    first,
    second,
    ask,
    release: () => {
      for (const signal of signals) process.off(signal, onSignal);
      unwatch();
    },
  };
}

/**
 * `onUncaught` gets exceptions and rejections that nothing has caught, in place of what the program does with them. Returns how to
 * undo that.
 */
export function takeUncaught(onUncaught: (error: unknown) => void): () => void {
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const before = events.map((event) => [event, process.rawListeners(event)] as const);
  for (const event of events) process.removeAllListeners(event).on(event, onUncaught);
  return () => {
    for (const [event, listeners] of before) {
      process.off(event, onUncaught);
      for (const listener of listeners) process.on(event, listener as (error: unknown) => void);
    }
  };
}

export interface Hangups {
  /** Called at SIGHUP. */
  onReload: () => void;
  /** Removes the signal handler. */
  release(): void;
}

/**
 * Handles SIGHUP of a program that reloads its file on it and may run in a terminal: when the
 * terminal has been closed, the same signal means an end.
 */
export function hangups(onTerminalGone: () => void): Hangups {
  const hadTerminal = hasTerminal();
  const onHangup = () => {
    if (hadTerminal && !hasTerminal()) onTerminalGone();
    else hangup.onReload();
  };
  const hangup: Hangups = { onReload: () => {}, release: () => void process.off('SIGHUP', onHangup) };
  process.on('SIGHUP', onHangup);
  return hangup;
}

/** The controlling terminal can be opened as `/dev/tty` while it exists (tty(4)). */
function hasTerminal(): boolean {
  const descriptor = attempt(() => openSync('/dev/tty', constants.O_RDWR | constants.O_NOCTTY), -1);
  if (descriptor >= 0) closeSync(descriptor);
  return descriptor >= 0;
}
