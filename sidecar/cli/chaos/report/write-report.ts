/** Writes a report to a folder: `index.html`, `history.json`, `figures.json`, `figures.csv`, and `DRILL.ARM.svg` for each picture. */
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory } from '../../../runtime/process/directory.js';
import type { ChaosHistory } from '../history/record.js';
import { csvOf } from './csv.js';
import { ARM_TITLES } from './figures/arm-title.js';
import { renderPage } from './page/page.js';
import { buildReport, type Summary, summaryOf } from './report.js';
import { historyChunks, roundedHistory } from './stored-history.js';
import { scalesOf, timelineFile } from './timeline/timeline-svg.js';

/**
 * Computes and writes everything; files of the same names are replaced. Throws the error of the file system where it cannot.
 *
 * @returns what the command prints and exits by.
 */
export function writeReport(recorded: ChaosHistory, dir: string): Summary {
  const history = roundedHistory(recorded);
  makeDirectory(dir);
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
      writeFileSync(join(dir, pictureName(text.name, arm)), timelineFile(timeline, scales, { title }));
    }
  }
  writeFileSync(join(dir, 'index.html'), renderPage(report));
  return summary;
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
