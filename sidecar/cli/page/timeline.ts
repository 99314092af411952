import { escapeHtml } from '../../admin/escape.js';
import type { Mark } from './marks.js';
import type { MeshMoment } from './mesh-view.js';

/**
 * Units of the picture. It is drawn for a wide window and scaled down on a narrow one, where the style makes
 * its words larger.
 */
const WIDTH = 720;
const HEIGHT = 64;
/** Below it are the words of the time axis. */
const FLOOR = HEIGHT - 14;

type Step = { readonly atMs: number; readonly perSecond: number; readonly failed: number };

/**
 * The calls to one service over the last minutes as inline SVG: a line of all, one of failed ones, and a mark for each ejection and
 * restart, whose title says what it was.
 */
export function timeline(service: string, { nowMs, keepMs, edges, marks }: MeshMoment): string {
  const steps = summed(edges.filter(({ to }) => to === service).flatMap((edge) => edge.steps));
  // An idle service has a flat line at the floor, not one that noise stretches to the top.
  const top = Math.max(1, ...steps.map(({ perSecond }) => perSecond));
  const x = (atMs: number): number => Math.round(WIDTH * (1 - (nowMs - atMs) / keepMs) * 10) / 10;
  const y = (perSecond: number): number => Math.round((FLOOR - (perSecond / top) * (FLOOR - 12)) * 10) / 10;
  const line = (kind: string, read: (step: Step) => number): string =>
    `<polyline class="${kind}" points="${steps.map((step) => `${x(step.atMs)},${y(read(step))}`).join(' ')}"/>`;
  const own = marks.filter((mark) => mark.service === service).map((mark) => tick(mark, x(mark.atMs)));
  return `<svg class="timeline" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" role="img" aria-label="calls to ${escapeHtml(service)} in the last ${Math.round(keepMs / 60_000)} minutes">
<line class="floor" x1="0" y1="${FLOOR}" x2="${WIDTH}" y2="${FLOOR}"/>${line('calls', ({ perSecond }) => perSecond)}${line('failed', ({ failed }) => failed)}${own.join('')}
<text x="0" y="10">${top.toFixed(top < 10 ? 1 : 0)}/s</text><text x="0" y="${HEIGHT - 2}">${Math.round(keepMs / 60_000)} min ago</text><text class="end" x="${WIDTH}" y="${HEIGHT - 2}">now</text></svg>`;
}

/** A vertical line with a dot, which shows the sentence of the mark under the pointer. */
function tick({ kind, text }: Mark, x: number): string {
  return `<g class="mark ${kind}"><title>${escapeHtml(text)}</title><line x1="${x}" y1="12" x2="${x}" y2="${FLOOR}"/><circle cx="${x}" cy="12" r="4"/></g>`;
}

/**
 * Callers of different services call the same one: their calls of one moment are added up. All sidecars
 * are asked in one round, which gives its answers one time.
 */
function summed(steps: readonly Step[]): Step[] {
  const byMoment = new Map<number, Step>();
  for (const { atMs, perSecond, failed } of steps) {
    const known = byMoment.get(atMs);
    byMoment.set(atMs, {
      atMs,
      perSecond: perSecond + (known?.perSecond ?? 0),
      failed: failed + (known?.failed ?? 0),
    });
  }
  return [...byMoment.values()].sort((a, b) => a.atMs - b.atMs);
}
