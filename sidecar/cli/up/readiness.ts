import { existsSync, readFileSync } from 'node:fs';
import { attempt } from '../../runtime/attempt.js';
import { visibleText } from '../../runtime/log/visible-text.js';
import type { Timers } from '../../runtime/time/timers.js';
import type { ModelReport } from '../../telemetry/reports.js';
import { CommandFailure } from '../failure.js';
import { readyLimitMs } from '../sidecar/takeover.js';
import { isReady, type SidecarState } from './fleet-state.js';
import type { SidecarSpec } from './plan.js';
import { logFileOf } from './sidecar-process.js';

export interface ReadyWait {
  /**
   * Resolves when the mesh is ready; rejects with a CommandFailure when it cannot become ready, or
   * not in time.
   */
  readonly done: Promise<undefined>;
  /** To be called after every change of the fleet. */
  check(states: readonly SidecarState[]): void;
  /** Stops the timers. */
  cancel(): void;
}

/** Where no model may take longer to start. */
const LEAST_LIMIT_MS = 90_000;
const LOG_POLL_MS = 500;
/** Lines of our model server's log: a model does not become ready; no model is served at all. */
const MODEL_FAILED = /^outrider serve: (.*: NOT READY: .*|no model in .*)$/m;
const NOTHING_SERVED = /^outrider serve: (serving 0 of |no model in )/m;
/** A model process that ended this often before it was ever ready will not become ready. */
const MAX_FAILED_STARTS = 2;

export interface ReadyOptions {
  /** Default: 90 s. */
  readonly limitMs?: number;
  /** Keeps the log of a sidecar that failed; the path, undefined where that is not possible. Default: it stays where it is. */
  keepLog?(spec: SidecarSpec): string | undefined;
}

/** How long the start of a mesh may take, ms: as long as its slowest model may. */
export function startLimitMs(specs: readonly SidecarSpec[]): number {
  return Math.max(LEAST_LIMIT_MS, ...specs.map(({ config }) => readyLimitMs(config)));
}

/**
 * Waits until every sidecar of a starting mesh is ready. A mesh in which some models cannot be
 * served starts without them; one in which none can be served fails at once, with the last line of
 * the log of the process that failed.
 */
export function untilReady(
  timers: Timers,
  { limitMs = LEAST_LIMIT_MS, keepLog = existingLog }: ReadyOptions = {},
): ReadyWait {
  let settle: { resolve(value: undefined): void; reject(error: Error): void };
  let last: readonly SidecarState[] = [];
  const done = new Promise<undefined>((resolve, reject) => {
    settle = { resolve, reject };
  });
  done.catch(() => {}); // not awaited when `up` is asked to end first
  const limit = timers.after(limitMs, () => settle.reject(tooLate(last, limitMs, keepLog)));
  const check = (states: readonly SidecarState[]): void => {
    last = states;
    const broken = states.find(({ process }) => process.state === 'backoff');
    if (broken !== undefined) return settle.reject(failureOf(broken, keepLog));
    const replicas = states.filter(({ spec }) => spec.role === 'replica');
    const failed = replicas.filter(cannotServe);
    if (failed.length > 0 && failed.length === replicas.length)
      return settle.reject(failureOf(failed[0]!, keepLog));
    const served = servicesOf(replicas.filter((state) => !failed.includes(state)));
    const unserved = servicesOf(failed).filter((name) => !served.includes(name));
    if (states.every((state) => isReady(state) || failed.includes(state) || awaitsOnly(state, unserved)))
      settle.resolve(undefined);
  };
  // No event follows a line of a log.
  const poll = timers.every(LOG_POLL_MS, () => check(last.length === 0 ? [] : last));
  return {
    done,
    check,
    cancel() {
      limit.cancel();
      poll.cancel();
    },
  };
}

function servicesOf(states: readonly SidecarState[]): string[] {
  return states.map(({ spec }) => spec.service);
}

/**
 * Whether it is a caller whose only reasons against readiness are upstreams without a replica that
 * serves.
 */
function awaitsOnly({ spec, process, notReady }: SidecarState, unserved: readonly string[]): boolean {
  if (spec.role !== 'caller' || process.state !== 'ready' || notReady === undefined) return false;
  return notReady.every((reason) => unserved.some((name) => reason.startsWith(`upstream ${name}:`)));
}

/** Whether the sidecar runs and none of its models will become ready. */
export function cannotServe({ spec, model, models, process }: SidecarState): boolean {
  if (process.state !== 'ready' || model === undefined) return false;
  if (models.some(({ name }) => name !== undefined)) return models.every(hasFailed);
  return hasFailed(model) || (model.state === 'starting' && NOTHING_SERVED.test(logOf(spec)));
}

function hasFailed({ state, restarts }: ModelReport): boolean {
  return state === 'given-up' || state === 'failed' || (state === 'backoff' && restarts >= MAX_FAILED_STARTS);
}

type KeepLog = NonNullable<ReadyOptions['keepLog']>;

function failureOf(state: SidecarState, keepLog: KeepLog): CommandFailure {
  const { spec, process, model } = state;
  const isSidecar = process.state === 'backoff';
  const failed = isSidecar ? undefined : MODEL_FAILED.exec(logOf(spec))?.[1];
  const said = failed ?? lastMessage(spec);
  const subject = isSidecar ? spec.name : `model of ${spec.name}`;
  if (said !== undefined) return new CommandFailure(`${subject}: ${said}`);
  const why = (isSidecar ? process.why : (model?.why ?? '')).replace(/; next start in .*/, '');
  const hint = /^not ready within /.test(why) ? '; `start_timeout` is how long it may take' : '';
  return new CommandFailure([`${subject}: ${why}${hint}`, ...evidenceOf(spec, keepLog)].join('\n'));
}

function tooLate(states: readonly SidecarState[], limitMs: number, keepLog: KeepLog): CommandFailure {
  const late = states.filter((state) => !isReady(state));
  const waiting = late.map(({ spec, process, model, notReady }) => {
    const why = notReady?.[0] ?? model?.why ?? process.why;
    return why ? `${spec.name} (${why})` : spec.name;
  });
  const replicas = late.filter(({ spec }) => spec.role === 'replica').slice(0, MOST_SHOWN);
  const evidence = replicas.flatMap(({ spec }) => evidenceOf(spec, keepLog));
  return new CommandFailure(
    [`not ready within ${limitMs / 1000} s: ${waiting.join(', ')}`, ...evidence].join('\n'),
  );
}

/** Replicas of which the last lines are shown. */
const MOST_SHOWN = 3;
const MOST_LINES = 20;
const LONGEST_LINE = 500;

/** The last lines that the model wrote, and where the rest is. */
function evidenceOf(spec: SidecarSpec, keepLog: KeepLog): string[] {
  const lines = logOf(spec)
    .split('\n')
    .filter((line) => line.trim() !== '' && !isOwnLogLine(line, spec))
    .slice(-MOST_LINES)
    .map((line) => `  ${visibleText(line).slice(0, LONGEST_LINE)}`);
  const path = keepLog(spec);
  return [
    ...(lines.length === 0 ? [] : [`the last lines that ${spec.name} wrote:`, ...lines]),
    ...(path === undefined ? [] : [`the log of ${spec.name}: ${path}`]),
  ];
}

/** Sidecar and model write to one log; lines of the sidecar are JSON with its name. */
function isOwnLogLine(line: string, { name, service }: SidecarSpec): boolean {
  if (!line.startsWith('{')) return false;
  const found = attempt(() => JSON.parse(line) as Record<string, unknown>, {});
  return found['service'] === service && found['instance'] === name;
}

function existingLog(spec: SidecarSpec): string | undefined {
  const file = logFileOf(spec);
  return existsSync(file) ? file : undefined;
}

/**
 * The last line that a program of ours wrote into the log for people, without its prefix `outrider
 * …:`.
 */
function lastMessage(spec: SidecarSpec): string | undefined {
  const line = logOf(spec)
    .split('\n')
    .findLast((text) => /^outrider( \w+)?: /.test(text));
  return line?.replace(/^outrider( \w+)?: /, '');
}

function logOf(spec: SidecarSpec): string {
  return attempt(() => readFileSync(logFileOf(spec), 'utf8'), '');
}
