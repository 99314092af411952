import { escapeHtml } from '../escape.js';
import type { ChartMark } from './series.js';
import { span } from './words.js';

const SHOWN = 12;

/** What happened in words, newest first; the charts have the same as lines. */
export function happened(marks: readonly ChartMark[], nowMs: number): string {
  const rows = marks
    .toSorted((a, b) => b.atMs - a.atMs)
    .map(({ atMs, kind, text }) => {
      const at = new Date(atMs).toISOString();
      return `<li><time datetime="${at}" title="${at}">${span(Math.max(0, nowMs - atMs))} ago</time><span class="kind ${escapeHtml(kind)}">${escapeHtml(kind)}</span><span class="what">${escapeHtml(text)}</span></li>`;
    });
  if (rows.length === 0)
    return '<section class="happened"><h2>What happened</h2><p class="quiet">Nothing in the last 30 minutes: no ejection, no restart, no drain, no new version.</p></section>';
  const older = rows.slice(SHOWN);
  const rest =
    older.length === 0
      ? ''
      : `<details data-key="older"><summary>${older.length} more</summary><ul>${older.join('')}</ul></details>`;
  return `<section class="happened"><h2>What happened</h2><ul>${rows.slice(0, SHOWN).join('')}</ul>${rest}</section>`;
}
