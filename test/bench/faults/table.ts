/** The comparison of faults as text, ready to be put into a document. */

import { markdownTable } from '../../../tools/markdown-table.js';
import { compare, type FaultSpreads, MEASURES, type Measure, verdictOf } from './figures.js';
import type { FaultReport } from './main.js';

const HEAD = ['row', 'subject', 'served', 'p99', 'attempts', 'left after', 'well after', 'ours is'];
const SHOWN: Readonly<Record<Measure, (value: number) => string>> = {
  served: (value) => `${(100 * value).toFixed(1)} %`,
  p99Ms: (value) => (Number.isFinite(value) ? `${value.toFixed(0)} ms` : 'none'),
  attempts: (value) => value.toFixed(2),
  leftAfterMs: (value) => (Number.isFinite(value) ? `${(value / 1_000).toFixed(2)} s` : 'never'),
  wellAfterMs: (value) => `${(value / 1_000).toFixed(2)} s`,
};

/** The report as text, ours compared with each other subject. */
export function renderFaults(report: FaultReport): string {
  const { machine, versions, runs, rows } = report;
  const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const problems = rows.flatMap(({ name, subjects }) =>
    subjects.flatMap((subject) =>
      subject.problems.map((problem) => `INVALID ${name}, ${subject.name}: ${problem}`),
    ),
  );
  return [
    `${report.date}: ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, node ${machine.node}`,
    `${named.join(' · ')}; medians of ${runs} interleaved runs`,
    '',
    markdownTable([HEAD, ...rows.flatMap(rowsOf)]),
    ...(problems.length === 0 ? [] : ['', ...problems]),
  ].join('\n');
}

function rowsOf({ name, subjects }: FaultReport['rows'][number]): string[][] {
  const ours = subjects[0];
  return subjects.map((subject, i) => [
    i === 0 ? name : '',
    subject.name,
    ...MEASURES.map((measure) => SHOWN[measure](subject.spreads[measure].median)),
    i === 0 || ours === undefined ? '' : comparison(ours.spreads, subject.spreads),
  ]);
}

/** With the measures that speak for the other. */
function comparison(ours: FaultSpreads, theirs: FaultSpreads): string {
  const words: Readonly<Record<Measure, string>> = {
    ...{ served: 'served', p99Ms: 'p99', attempts: 'attempts', leftAfterMs: 'left', wellAfterMs: 'well' },
  };
  const worse = MEASURES.filter((measure) => compare(measure, ours[measure], theirs[measure]) === 'worse');
  const but = worse.map((measure) => words[measure]).join(', ');
  return `${verdictOf(ours, theirs)}${but === '' ? '' : ` (worse: ${but})`}`;
}
