/** Writes a report to a folder: `index.html`, `history.json`, `figures.json`, `figures.csv`, and `DRILL.ARM.svg` for each picture. */
import { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { attempt } from '../../../runtime/attempt.js';
import { makeDirectory } from '../../../runtime/process/directory.js';
import { ARM_NAMES, type ArmName, type ChaosHistory } from '../history/record.js';
import { csvOf } from './csv.js';
import { ARM_TITLES } from './figures/arm-title.js';
import { renderPage } from './page/page.js';
import { buildReport, type Summary, summaryOf } from './report.js';
import { historyChunks, roundedHistory } from './stored-history.js';
import { scalesOf, timelineFile } from './timeline/timeline-svg.js';

/**
 * Computes and writes everything; files of the same names are replaced, and pictures of the report that was in the folder before are
 * removed. Throws the error of the file system where it cannot.
 *
 * @returns what the command prints and exits by.
 */
export function writeReport(recorded: ChaosHistory, dir: string): Summary {
  const history = roundedHistory(recorded);
  makeDirectory(dir);
  const old = picturesIn(dir);
  const report = buildReport(history);
  const summary = summaryOf(report);
  // The records first: the rest can be made from them again.
  writeChunks(join(dir, 'history.json'), historyChunks(history));
  writeFileSync(join(dir, 'figures.json'), `${JSON.stringify(summary, null, 1)}\n`);
  writeFileSync(join(dir, 'figures.csv'), csvOf(summary.figures));
  for (const { text, arms } of report.drills) {
    const scales = scalesOf(arms.map(({ timeline }) => timeline));
    for (const { arm, timeline } of arms) {
      const title = `${text.title}: ${ARM_TITLES[arm]}`;
      const name = pictureName(text.name, arm);
      writeFileSync(join(dir, name), timelineFile(timeline, scales, { title }));
      old.delete(name);
    }
  }
  // They would be taken for pictures of this run.
  for (const name of old) rmSync(join(dir, name), { force: true });
  writeFileSync(join(dir, 'index.html'), renderPage(report));
  return summary;
}

/** The pictures of the report that is in the folder, as its figures name them; none where there is no such report. */
function picturesIn(dir: string): Set<string> {
  const text = attempt(() => readFileSync(join(dir, 'figures.json'), 'utf8'), '{}');
  const found = attempt((): Partial<Summary> => JSON.parse(text), {});
  const figures = Array.isArray(found?.figures)
    ? (found.figures as Partial<Summary['figures'][number] | null>[])
    : [];
  return new Set(
    figures.flatMap((each) => {
      const { drill, arm } = each ?? {};
      return typeof drill === 'string' && ARM_NAMES.includes(arm as ArmName)
        ? [pictureName(drill, arm!)]
        : [];
    }),
  );
}

/** File name of a picture. Characters that a file name cannot have everywhere are replaced. */
export function pictureName(drill: string, arm: string): string {
  return `${drill.replace(/[^\w-]/g, '_')}.${arm}.svg`;
}

/** A history can be longer than the longest string. */
function writeChunks(file: string, chunks: Iterable<string>): void {
  const target = openSync(file, 'w', 0o644);
  try {
    for (const chunk of chunks) writeSync(target, chunk);
  } finally {
    closeSync(target);
  }
}
