/**
 * How early detectors see trouble, on streams recorded from real processes, and how often they are wrong: on seconds of healthy streams
 * drawn again at random, in blocks, so that what follows each other stays together.
 */
import { join } from 'node:path';
import { packageRoot } from '../../kit/process/package-root.js';
import { seeded } from '../../kit/time/seeded-random.js';
import { learnedFindings } from './learned.js';
import { PLANS, recordAll } from './record.js';
import { readStream, type Second, type Stream } from './stream-file.js';
import { DETECTOR_SUBJECTS, type Subject } from './subjects.js';

/** Where the streams are kept. */
const STREAMS = join(packageRoot, 'test/bench/detectors/streams');
/** The promise to callers: of the calls of ten seconds, at most so many are late, or fail. */
const WINDOW_S = 10;
const LATE_MS = 150;
const MOST_BAD = 0.05;
/** Seconds of a healthy stream that stay together. */
const BLOCK_S = 10;
/** An alarm that has been silent for this long is a new one. */
const SAME_ALARM_S = 60;
/** Seconds that a detector may learn from, at the begin of a stream. */
const LEARN_S = 30;
const DAY_S = 86_400;
/** As short as shows that it works; and a day of each healthy stream. */
const QUICK_S = 3_600;

/** What one detector made of one stream with a fault. */
export interface Finding {
  readonly stream: string;
  /** Seconds from the first alarm to the breach of the promise; undefined: it gave none before, or there was no breach. */
  readonly leadS: number | undefined;
  /** Seconds from the begin of the fault to the first alarm; undefined: none. */
  readonly delayS: number | undefined;
  /** Alarms before the fault. */
  readonly early: number;
}

/** What one detector did. */
export interface DetectorRow {
  readonly name: string;
  readonly what: string;
  readonly findings: readonly Finding[];
  /** By healthy stream. */
  readonly falsePerDay: Readonly<Record<string, number>>;
  /** Faults found over all alarms, where each fault comes once in a healthy day; undefined: there was no alarm. */
  readonly precision: number | undefined;
}

/** What the benchmark found. */
export interface DetectorReport {
  readonly streams: readonly {
    readonly name: string;
    readonly what: string;
    readonly faultS: number | undefined;
    readonly breachS: number | undefined;
  }[];
  readonly healthySeconds: number;
  readonly rows: readonly DetectorRow[];
}

/** Watches all streams with all detectors, after recording them anew where that is asked for. */
export async function benchDetectors(
  {
    quick,
    only,
    record,
  }: { readonly quick: boolean; readonly only: ReadonlySet<string>; readonly record: boolean },
  say: (line: string) => void,
): Promise<DetectorReport> {
  if (record) await recordAll(STREAMS, only, say);
  const streams = PLANS.map(({ name }) => readStream(join(STREAMS, `${name}.txt`)));
  const faulty = streams.filter(({ faultFrom }) => faultFrom !== undefined);
  const healthy = streams.filter(({ faultFrom }) => faultFrom === undefined);
  const healthySeconds = quick ? QUICK_S : DAY_S;
  const subjects = [
    ...DETECTOR_SUBJECTS.map(({ name, what, make }) => ({ name, what, makeFor: () => make() })),
    learnedFindings(streams),
  ];
  const rows = subjects.map(({ name, what, makeFor }) => {
    say(name);
    const findings = faulty.map((stream) => find(stream, makeFor(stream.name)));
    const falsePerDay = Object.fromEntries(
      healthy.map((stream) => [stream.name, falseAlarms(stream, makeFor(stream.name), healthySeconds)]),
    );
    return {
      name,
      what,
      findings,
      falsePerDay,
      precision: precisionOf(findings, Object.values(falsePerDay)),
    };
  });
  const breaches = streams.map((stream) => ({
    name: stream.name,
    what: stream.what,
    faultS: stream.faultFrom,
    breachS: stream.faultFrom === undefined ? undefined : breachOf(stream),
  }));
  return { streams: breaches, healthySeconds, rows };
}

/** The second in which the promise is broken, for the first time since the fault began. */
function breachOf({ seconds, faultFrom = 0 }: Stream): number | undefined {
  for (let end = faultFrom + 1; end <= seconds.length; end++) {
    const window = seconds.slice(Math.max(faultFrom, end - WINDOW_S), end);
    const calls = window.reduce((sum, { latencies, faults }) => sum + latencies.length + faults, 0);
    const bad = window.reduce(
      (sum, { latencies, faults }) => sum + faults + latencies.filter((ms) => ms > LATE_MS).length,
      0,
    );
    if (end - faultFrom >= WINDOW_S && bad > MOST_BAD * calls) return end;
  }
  return undefined;
}

function find(stream: Stream, subject: Subject): Finding {
  const { name, seconds, faultFrom = 0 } = stream;
  const alarms = alarmsOf(seconds, subject);
  const first = alarms.find((at) => at >= faultFrom);
  const breachS = breachOf(stream);
  const isEarlier = first !== undefined && breachS !== undefined && first < breachS;
  return {
    stream: name,
    leadS: isEarlier ? breachS - first : undefined,
    delayS: first === undefined ? undefined : first - faultFrom,
    early: alarms.filter((at) => at < faultFrom).length,
  };
}

function falseAlarms({ seconds }: Stream, subject: Subject, forS: number): number {
  const random = seeded(11);
  const drawn: Second[] = seconds.slice(0, LEARN_S);
  while (drawn.length < forS) {
    const from = Math.floor(random() * (seconds.length - BLOCK_S));
    drawn.push(...seconds.slice(from, from + BLOCK_S));
  }
  return (alarmsOf(drawn, subject).length * DAY_S) / forS;
}

/** Seconds in which an alarm begins. */
function alarmsOf(seconds: readonly Second[], subject: Subject): number[] {
  const alarms: number[] = [];
  let last = Number.NEGATIVE_INFINITY;
  seconds.forEach((second, at) => {
    if (!subject.sees(second, at * 1_000)) return;
    if (at - last > SAME_ALARM_S || alarms.length === 0) alarms.push(at);
    last = at;
  });
  return alarms;
}

function precisionOf(findings: readonly Finding[], falsePerDay: readonly number[]): number | undefined {
  const found = findings.filter(({ delayS }) => delayS !== undefined).length;
  const wrong = falsePerDay.reduce((sum, each) => sum + each, 0) / falsePerDay.length;
  const early = findings.reduce((sum, each) => sum + each.early, 0);
  const alarms = found + early + wrong;
  return alarms === 0 ? undefined : found / alarms;
}

/** The report as text. */
export function renderDetectors({ streams, healthySeconds, rows }: DetectorReport): string {
  const faulty = streams.filter(({ name }) => rows[0]!.findings.some(({ stream }) => stream === name));
  const healthy = streams.filter((stream) => !faulty.includes(stream));
  const width = Math.max(...rows.map(({ name }) => name.length));
  const cell = ({ leadS, delayS, early }: Finding): string =>
    early > 0 ? 'early' : delayS === undefined ? '–' : leadS === undefined ? `(${delayS})` : `${leadS}`;
  const columns = [...faulty.map(({ name }) => name), ...healthy.map(({ name }) => name), 'precision'];
  const line = (name: string, cells: readonly string[]): string =>
    [name.padEnd(width), ...cells.map((text, i) => text.padStart(columns[i]!.length))].join('  ');
  const lines = rows.map(({ name, findings, falsePerDay, precision }) =>
    line(name, [
      ...findings.map(cell),
      ...Object.values(falsePerDay).map((count) => count.toFixed(0)),
      precision === undefined ? '–' : `${(100 * precision).toFixed(0)} %`,
    ]),
  );
  return [
    'streams',
    ...streams.map(
      ({ name, what, faultS, breachS }) =>
        `  ${name.padEnd(13)} ${what}${faultS === undefined ? '' : `; from ${faultS} s`}${breachS === undefined ? '' : `, breach ${breachS} s`}`,
    ),
    `breach: of the calls of ${WINDOW_S} s more than ${100 * MOST_BAD} % take longer than ${LATE_MS} ms, or fail`,
    'detectors',
    ...rows.map(({ name, what }) => `  ${name.padEnd(width)} ${what}`),
    '',
    'with a fault: seconds from the first alarm to the breach; (n): seconds from the fault to it where there is no breach, or it came first;',
    `–: none; early: an alarm before the fault. Healthy: false alarms per day, of ${(healthySeconds / 3_600).toFixed(0)} h drawn again in blocks of ${BLOCK_S} s`,
    line('', columns),
    ...lines,
    'precision: of the alarms of a healthy day in which each fault comes once, those that a fault caused; –: there was none',
  ].join('\n');
}
