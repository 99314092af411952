/** `history.json`: how a history is written, and read again by `--render`. */
import { ARM_NAMES, type ArmRun, type ChaosHistory, MARK_KINDS } from '../history/record.js';

/** Records of one chunk of the text. */
const CHUNK_RECORDS = 500;

/** The text of the file piece by piece, a record on each line. */
export function* historyChunks({ runs, ...rest }: ChaosHistory): Generator<string> {
  yield `${JSON.stringify(rest).slice(0, -1)},\n"runs": [`;
  for (const [i, run] of runs.entries()) {
    yield i === 0 ? '\n' : ',\n';
    yield* runChunks(run);
  }
  yield '\n]}\n';
}

/** One run: what is small first, then its lists, which are written in parts. */
function* runChunks({ calls, executions, marks, ...rest }: ArmRun): Generator<string> {
  yield JSON.stringify(rest).slice(0, -1);
  for (const [name, records] of Object.entries({ marks, calls, executions })) {
    yield `,\n"${name}": [`;
    for (let i = 0; i < records.length; i += CHUNK_RECORDS) {
      const lines = records.slice(i, i + CHUNK_RECORDS).map((record) => JSON.stringify(record));
      yield `${i === 0 ? '\n' : ',\n'}${lines.join(',\n')}`;
    }
    yield ']';
  }
  yield '}';
}

/**
 * The history with times to the microsecond, as it is stored: a report that is made from it is made alike from the file.
 */
export function roundedHistory(history: ChaosHistory): ChaosHistory {
  const runs = history.runs.map((run) => ({
    ...run,
    calls: run.calls.map(rounded),
    executions: run.executions.map(rounded),
    marks: run.marks.map(rounded),
    clientLagMs: run.clientLagMs.map(toMicroseconds),
  }));
  return { ...history, runs };
}

/** A record with all of its numbers rounded; they are times, counts and codes. */
function rounded<T extends object>(record: T): T {
  const entries = Object.entries(record).map(([key, value]) => [
    key,
    typeof value === 'number' ? toMicroseconds(value) : value,
  ]);
  return Object.fromEntries(entries) as T;
}

function toMicroseconds(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

/**
 * A history from the text of its file.
 *
 * @throws Error whose message names the first part that is not as it must be, such as `runs[2].calls[17].status`.
 */
export function parseHistory(text: string): ChaosHistory {
  const history = record(JSON.parse(text), 'the file');
  if (history['format'] !== 1)
    throw new Error(`format: found ${JSON.stringify(history['format'])}; expected 1`);
  HISTORY(history, '');
  return history as unknown as ChaosHistory;
}

/** Throws an Error with the place where a value is not as it must be. */
type Check = (value: unknown, at: string) => void;

// The checks of single values; lists and objects are made of them.
const text: Check = expecting('a text', (value) => typeof value === 'string');
const number: Check = expecting('a number', (value) => typeof value === 'number');
const flag: Check = expecting('true or false', (value) => typeof value === 'boolean');
const texts = listOf(text);

/** What a record has to have, and what it may have; `record.ts` says what each part means. */
const CALL = keys(
  {
    id: text,
    drill: text,
    arm: oneOf(ARM_NAMES),
    client: text,
    startMs: number,
    endMs: number,
    model: oneOf(['digits', 'long', 'stream', 'tokens', 'golden']),
    idempotent: flag,
    status: number,
    answer: oneOf(['right', 'wrong', 'none']),
    degraded: flag,
    answers: number,
  },
  { deadlineMs: number, reason: text, answeredId: text, messages: number, endpoint: text, isFault: flag },
);
const EXECUTION = keys(
  { callId: text, replica: text, startMs: number },
  { endMs: number, cancelledMs: number },
);
const MARK = keys({ atMs: number, kind: oneOf(MARK_KINDS), text }, { replica: text });
const RUN = keys(
  {
    drill: text,
    arm: oneOf(ARM_NAMES),
    seconds: number,
    calls: listOf(CALL),
    executions: listOf(EXECUTION),
    marks: listOf(MARK),
    clientLagMs: listOf(number),
    replicas: texts,
  },
  {
    ...{ cpuMs: number, attempts: number, standIns: texts, isHarmless: flag },
    ...{ hasNoExecutions: flag, stopped: text },
  },
);
const ABOUT = keys({
  command: text,
  startedAt: text,
  seconds: number,
  cores: number,
  processor: text,
  system: text,
  versions: textMap,
  arms: textMap,
});
/** The whole file, apart from its format. */
const HISTORY = keys({
  about: ABOUT,
  drills: listOf(keys({ name: text, title: text, does: text })),
  runs: listOf(RUN),
  skipped: listOf(keys({ drill: text, arm: oneOf(ARM_NAMES), because: text }, { isUntouched: flag })),
});

/** A check of a single value. `what` completes the sentence `expected …`. */
function expecting(what: string, holds: (value: unknown) => boolean): Check {
  return (value, at) => {
    if (!holds(value))
      throw new Error(`${at}: found ${JSON.stringify(value) ?? 'nothing'}; expected ${what}`);
  };
}

function oneOf(names: readonly string[]): Check {
  return expecting(`one of ${names.join(', ')}`, (value) => names.includes(value as string));
}

/** A list, each of whose elements passes; an element is named by its index. */
function listOf(check: Check): Check {
  return (value, at) => {
    if (!Array.isArray(value))
      throw new Error(`${at}: found ${JSON.stringify(value) ?? 'nothing'}; expected a list`);
    for (const [i, one] of value.entries()) check(one, `${at}[${i}]`);
  };
}

/** An object that has all of one and may have those of the other. More keys are let through: a newer program may write them. */
function keys(
  required: Readonly<Record<string, Check>>,
  optional: Readonly<Record<string, Check>> = {},
): Check {
  return (value, at) => {
    const found = record(value, at);
    const path = (key: string): string => (at === '' ? key : `${at}.${key}`);
    for (const [key, check] of Object.entries(required)) check(found[key], path(key));
    for (const [key, check] of Object.entries(optional))
      if (found[key] !== undefined) check(found[key], path(key));
  };
}

/** An object whose values are texts, such as versions by program. */
function textMap(value: unknown, at: string): void {
  for (const [key, one] of Object.entries(record(value, at))) text(one, `${at}.${key}`);
}

/** The value as an object, or an Error with the place. */
function record(value: unknown, at: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new Error(`${at}: found ${JSON.stringify(value) ?? 'nothing'}; expected an object`);
}
