/**
 * The signals that ask a long-running command to end: the first asks for an orderly end, the next for one at once.
 */

import { closeSync, constants, openSync } from 'node:fs';
import { systemClock } from '../runtime/time/clock.js';

const ENDING: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** One Ctrl-C may arrive twice: from the terminal, and from an npm in between that passes it on. */
const SAME_CTRL_C_MS = 300;

export interface EndRequests {
  /** Resolves at the first request, with its name. */
  readonly first: Promise<string>;
  /** Resolves at the second. */
  readonly second: Promise<string>;
  /** Asks as a signal does, for reasons of the program's own. */
  ask(why: string): void;
  /** Signals have their usual effect again. */
  release(): void;
}

/** `except`: a signal with another meaning for this command. */
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
  return {
    first,
    second,
    ask,
    release: () => {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}

export interface Hangups {
  /** What SIGHUP does now. */
  onReload: () => void;
  /** The signal has its usual effect again. */
  release(): void;
}

/**
 * SIGHUP of a program that reloads its file on it, and that may have been started in a terminal: the same signal says that
 * this is gone, which is an end.
 */
export function hangups(onTerminalGone: () => void): Hangups {
  const hadTerminal = hasTerminal();
  const onHangup = () => {
    if (hadTerminal && !hasTerminal()) onTerminalGone();
    else hangup.onReload();
  };
  const hangup: Hangups = {
    onReload: () => {},
    release: () => void process.off('SIGHUP', onHangup),
  };
  process.on('SIGHUP', onHangup);
  return hangup;
}

/** A terminal that controls this process can be opened as long as it is there (tty(4)). */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', constants.O_RDWR | constants.O_NOCTTY));
    return true;
  } catch {
    return false;
  }
}
