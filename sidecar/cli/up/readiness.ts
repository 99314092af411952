/**
 * Waits until every sidecar of a starting mesh is ready, and knows when that will not happen.
 *
 * A mesh that cannot start says why in one line: the words of the process that failed, from its log.
 */

import { readFileSync } from 'node:fs';
import type { Timers } from '../../runtime/time/timers.js';
import type { ModelReport } from '../../telemetry/reports.js';
import { CommandFailure } from '../failure.js';
import { isReady, type SidecarState } from './fleet.js';
import type { SidecarSpec } from './plan.js';
import { logFileOf } from './sidecar-process.js';

export interface ReadyWait {
  /** Resolves with nothing when all are ready; rejects with a CommandFailure. */
  readonly done: Promise<undefined>;
  /** To be called whenever something has changed. */
  check(states: readonly SidecarState[]): void;
  cancel(): void;
}

const LIMIT_MS = 90_000;
const LOOK_PERIOD_MS = 500;
/** How our model server says, in its log, that a model will not become ready, and that it serves nothing at all. */
const MODEL_FAILED = /^outrider serve: (.*: NOT READY: .*|no model in .*)$/m;
const NOTHING_SERVED = /^outrider serve: (serving 0 of |no model in )/m;
/** A model that has died this often before it was ever ready will not get ready. */
const MAX_FAILED_STARTS = 2;

export function untilReady(timers: Timers): ReadyWait {
  let settle: { resolve(value: undefined): void; reject(error: Error): void };
  let last: readonly SidecarState[] = [];
  const done = new Promise<undefined>((resolve, reject) => {
    settle = { resolve, reject };
  });
  done.catch(() => {}); // whoever waits sees it; an end request may come first
  const limit = timers.after(LIMIT_MS, () => settle.reject(tooLate(last)));
  const check = (states: readonly SidecarState[]): void => {
    last = states;
    const broken = states.find(({ process }) => process.state === 'backoff');
    if (broken !== undefined) return settle.reject(failureOf(broken));
    const replicas = states.filter(({ spec }) => spec.role === 'replica');
    const hopeless = replicas.filter(cannotServe);
    // A mesh that serves something starts, and says what it does not serve.
    if (hopeless.length > 0 && hopeless.length === replicas.length)
      return settle.reject(failureOf(hopeless[0]!));
    const gone = servicesOf(hopeless).filter((name) => !servicesOf(replicas, hopeless).includes(name));
    if (states.every((state) => isReady(state) || hopeless.includes(state) || awaitsOnly(state, gone)))
      settle.resolve(undefined);
  };
  // What a log says comes without news.
  const look = timers.every(LOOK_PERIOD_MS, () => check(last.length === 0 ? [] : last));
  return {
    done,
    check,
    cancel() {
      limit.cancel();
      look.cancel();
    },
  };
}

function servicesOf(states: readonly SidecarState[], except: readonly SidecarState[] = []): string[] {
  return states.filter((state) => !except.includes(state)).map(({ spec }) => spec.service);
}

/** A caller that is ready but for services of which no replica serves anything. */
function awaitsOnly({ spec, process, notReady }: SidecarState, gone: readonly string[]): boolean {
  if (spec.role !== 'caller' || process.state !== 'ready' || notReady === undefined) return false;
  return notReady.every((reason) => gone.some((name) => reason.startsWith(`upstream ${name}:`)));
}

/** Its sidecar is there, and none of its models will be. */
export function cannotServe(state: SidecarState): boolean {
  const { spec, model, models, process } = state;
  if (process.state !== 'ready' || model === undefined) return false;
  const isNamed = models.some(({ name }) => name !== undefined);
  if (isNamed) return models.every(isOut);
  return isOut(model) || (model.state === 'starting' && NOTHING_SERVED.test(logOf(spec)));
}

function isOut({ state, restarts }: ModelReport): boolean {
  return state === 'given-up' || state === 'failed' || (state === 'backoff' && restarts >= MAX_FAILED_STARTS);
}

function failureOf(state: SidecarState): CommandFailure {
  const { spec, process, model } = state;
  const failed = process.state === 'backoff' ? undefined : MODEL_FAILED.exec(logOf(spec))?.[1];
  if (failed !== undefined) return new CommandFailure(`model of ${spec.name}: ${failed}`);
  const [who, why] = process.state === 'backoff' ? ['', process.why] : ['model of ', model?.why ?? ''];
  const said = lastComplaint(spec);
  return new CommandFailure(`${who}${spec.name}: ${said ?? why.replace(/; next start in .*/, '')}`);
}

function tooLate(states: readonly SidecarState[]): CommandFailure {
  const waiting = states
    .filter((state) => !isReady(state))
    .map(({ spec, process, model, notReady }) => {
      const why = notReady?.[0] ?? model?.why ?? process.why;
      return why ? `${spec.name} (${why})` : spec.name;
    });
  return new CommandFailure(`not ready within ${LIMIT_MS / 1000} s: ${waiting.join(', ')}`);
}

/** The last line that one of our own programs wrote for people. */
function lastComplaint(spec: SidecarSpec): string | undefined {
  const line = logOf(spec)
    .split('\n')
    .findLast((text) => /^outrider( \w+)?: /.test(text));
  return line?.replace(/^outrider( \w+)?: /, '');
}

function logOf(spec: SidecarSpec): string {
  try {
    return readFileSync(logFileOf(spec), 'utf8');
  } catch {
    return '';
  }
}
