/**
 * Waits until every sidecar of a starting mesh is ready, and knows when that will not happen.
 *
 * A mesh that cannot start says why in one line: the words of the process that failed, from its log.
 */

import { readFileSync } from 'node:fs';
import type { Timers } from '../../runtime/timers.js';
import { CommandFailure } from '../failure.js';
import { isReady, type SeatState } from './fleet.js';
import type { Seat } from './plan.js';
import { logFileOf } from './seat-process.js';

export interface ReadyWait {
  /** Resolves with nothing when all are ready; rejects with a CommandFailure. */
  readonly done: Promise<undefined>;
  /** To be called whenever something has changed. */
  check(states: readonly SeatState[]): void;
  cancel(): void;
}

const LIMIT_MS = 90_000;
const LOOK_PERIOD_MS = 500;
/** How our model server says, in its log, that a model will not become ready; its health answers only say NOT_SERVING. */
const MODEL_FAILED = /^outrider serve: (.*: NOT READY: .*|no model in .*)$/m;
/** A model that has died this often before it was ever ready will not get ready. */
const HOPELESS_RESTARTS = 2;

export function untilReady(timers: Timers): ReadyWait {
  let settle: { resolve(value: undefined): void; reject(error: Error): void };
  let last: readonly SeatState[] = [];
  const done = new Promise<undefined>((resolve, reject) => {
    settle = { resolve, reject };
  });
  done.catch(() => {}); // whoever waits sees it; an end request may come first
  const limit = timers.after(LIMIT_MS, () => settle.reject(tooLate(last)));
  const look = timers.every(LOOK_PERIOD_MS, () => {
    const failed = last.find((state) => failedModel(state) !== undefined);
    if (failed !== undefined) {
      settle.reject(new CommandFailure(`model of ${failed.seat.name}: ${failedModel(failed)}`));
    }
  });
  return {
    done,
    check(states) {
      last = states;
      const hopeless = states.find(isHopeless);
      if (hopeless !== undefined) settle.reject(failureOf(hopeless));
      else if (states.every(isReady)) settle.resolve(undefined);
    },
    cancel() {
      limit.cancel();
      look.cancel();
    },
  };
}

function isHopeless({ process, model }: SeatState): boolean {
  if (process.state === 'backoff') return true;
  return model?.state === 'given-up' || (model?.state === 'backoff' && model.restarts >= HOPELESS_RESTARTS);
}

function failedModel({ seat, model }: SeatState): string | undefined {
  return model?.state === 'starting' ? MODEL_FAILED.exec(logOf(seat))?.[1] : undefined;
}

function failureOf({ seat, process, model }: SeatState): CommandFailure {
  const [who, why] = process.state === 'backoff' ? ['', process.why] : ['model of ', model?.why ?? ''];
  const said = lastComplaint(seat);
  return new CommandFailure(`${who}${seat.name}: ${said ?? why.replace(/; next start in .*/, '')}`);
}

function tooLate(states: readonly SeatState[]): CommandFailure {
  const waiting = states
    .filter((state) => !isReady(state))
    .map(({ seat, process, model, notReady }) => {
      const why = notReady?.[0] ?? model?.why ?? process.why;
      return why ? `${seat.name} (${why})` : seat.name;
    });
  return new CommandFailure(`not ready within ${LIMIT_MS / 1000} s: ${waiting.join(', ')}`);
}

/** The last line that one of our own programs wrote for people. */
function lastComplaint(seat: Seat): string | undefined {
  const line = logOf(seat)
    .split('\n')
    .findLast((text) => /^outrider( \w+)?: /.test(text));
  return line?.replace(/^outrider( \w+)?: /, '');
}

function logOf(seat: Seat): string {
  try {
    return readFileSync(logFileOf(seat), 'utf8');
  } catch {
    return '';
  }
}
