/** Every figure of the report, declared once: its title, its unit, what exactly it is, and how it is written. */

import type { Invariant } from '../../history/violation.js';
import type { ArmFigures, TimeFigure } from './figures.js';
import { count, duration, percent, points } from './format.js';
import { RECOVERY_WINDOW_MS } from './recovery.js';

export interface Column {
  /** Name in the CSV file, with its unit. */
  readonly key: string;
  readonly title: string;
  /** The exact definition, in whole sentences, for a reader of the page. */
  readonly meaning: string;
  /** As a number in the unit of `key`; undefined: there is none. `never` is written as such. */
  readonly value: (figures: ArmFigures) => number | 'never' | undefined;
  readonly text: (figures: ArmFigures) => string;
}

export const NONE = '–';

/** In the place of the figures of an arm that has nothing which a drill could break. */
export const UNTOUCHED = 'n/a';

export const COLUMNS: readonly Column[] = [
  counted(
    'calls',
    'calls',
    'Calls of the load. A call that is itself the fault, such as a poison request, counts in no row here.',
    (f) => f.counts.calls,
  ),
  {
    key: 'availability',
    title: 'available',
    meaning: 'Share of the calls that got an answer, full or degraded, and not a wrong one.',
    value: (f) => f.availability,
    text: (f) => (f.availability === undefined ? NONE : percent(f.availability)),
  },
  counted('failed', 'failed', 'Calls that ended with an error, or never.', (f) => f.counts.failed),
  counted(
    'degraded',
    'degraded',
    'Calls that got an answer of a fallback (a smaller model, a cached answer), which says so in its metadata.',
    (f) => f.counts.degraded,
  ),
  counted(
    'wrong',
    'wrong',
    'Calls that got status OK with a content that is not the expected one, and without the mark of a degraded answer.',
    (f) => f.counts.wrong,
  ),
  {
    key: 'duplicated',
    title: 'duplicated',
    meaning: 'Executions beyond the first one, of calls that must not be executed twice.',
    value: (f) => (isUnchecked(f, 'executed-once') ? undefined : f.duplicated),
    text: (f) => (isUnchecked(f, 'executed-once') ? NONE : count(f.duplicated)),
  },
  timed(
    'detect_ms',
    'to detect',
    'From the begin of the fault to the first sign that the arm has noticed it: an ejection, the restart of a process, a degraded answer, or an answer that a sidecar gave by itself.',
    (f) => f.detectMs,
  ),
  timed(
    'eject_ms',
    'to eject',
    'From the begin of the fault to the first ejection of an endpoint.',
    (f) => f.ejectMs,
  ),
  timed(
    'first_good_ms',
    'to first good answer',
    'From the begin of the fault to the first full, right answer to a call that was made after it.',
    (f) => f.firstGoodMs,
  ),
  timed(
    'recovery_ms',
    'to full recovery',
    `From the begin of the fault to the end of the last window of ${RECOVERY_WINDOW_MS} ms that is not good. A window is good when every call made in it (and of the first one every call in flight at the begin of the fault) got a full, right answer and at most 5 % of them were slow: longer than three times the 99th percentile of their model before the fault, and by 100 ms longer; how late the event loop of the clients was meanwhile is no part of these times. 0 means that no window was bad (“not disturbed”); “never” that the last one still was.`,
    (f) => f.recoveryMs,
  ),
  timed(
    'p50_ms',
    'p50',
    'Median time of the answered calls made after the begin of the fault, of the model that most calls are of. Calls that failed have no part in it.',
    (f) => f.p50Ms,
  ),
  timed('p99_ms', 'p99', '99th percentile of the same times.', (f) => f.p99Ms),
  {
    key: 'accuracy_lost',
    title: 'accuracy lost',
    meaning:
      'By how many percentage points degraded answers are more often wrong than full answers of the same run.',
    value: (f) => f.accuracyLost,
    text: (f) => (f.accuracyLost === undefined ? NONE : points(f.accuracyLost)),
  },
  {
    key: 'extra_attempts',
    title: 'extra attempts',
    meaning:
      'Attempts beyond one for each call (retries, hedges), as a share of the calls; by the count of the arm where it has one, otherwise by what the models executed.',
    value: (f) => f.extraAttempts,
    text: (f) => (f.extraAttempts === undefined ? NONE : percent(f.extraAttempts)),
  },
  {
    key: 'cpu_us_per_call',
    title: 'CPU per call',
    meaning:
      'CPU time for each call, of the processes between clients and models; without any, of the client.',
    value: (f) => f.cpuUs,
    text: (f) => (f.cpuUs === undefined ? NONE : `${count(f.cpuUs)} µs`),
  },
  counted('violations', 'broken invariants', 'How often a call broke an invariant of the list below.', (f) =>
    Object.values(f.violations).reduce((a, b) => a + b, 0),
  ),
];

/** Whether nothing is known that would show this invariant broken. */
export function isUnchecked(
  { unchecked = [] }: Pick<ArmFigures, 'unchecked'>,
  invariant: Invariant,
): boolean {
  return unchecked.includes(invariant);
}

/** A figure that is a count: shown as it is, 0 where nothing happened. */
function counted(
  key: string,
  title: string,
  meaning: string,
  value: (figures: ArmFigures) => number,
): Column {
  return { key, title, meaning, value, text: (figures) => count(value(figures)) };
}

/** A figure that is a length of time: the median, and with several runs the extremes in brackets. */
function timed(
  key: string,
  title: string,
  meaning: string,
  figure: (figures: ArmFigures) => TimeFigure,
): Column {
  return {
    key,
    title,
    meaning,
    value: (figures) => figure(figures)?.median,
    text: (figures) => {
      const spread = figure(figures);
      if (spread === undefined) return NONE;
      const [median, least, most] = [spread.median, spread.least, spread.most].map(duration);
      return least === most ? median! : `${median} (${least} to ${most})`;
    },
  };
}
