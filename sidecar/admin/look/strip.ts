import { SLOT_MS } from '../../core/history/half-hour.js';
import { type ReplicaState, stateOfCode } from '../../core/history/replica-state.js';
import { escapeHtml } from '../escape.js';

const HEIGHT = 14;

/** The shape of each state, as pairs of top and height: states differ without their colours too. */
const SHAPES: Readonly<Record<ReplicaState, readonly (readonly [top: number, height: number])[]>> = {
  ready: [[9, 5]],
  suspect: [[5, 9]],
  ejected: [[0, 14]],
  down: [
    [0, 3],
    [11, 3],
  ],
  draining: [[4, 4]],
  restarting: [
    [0, 3],
    [5, 4],
    [11, 3],
  ],
};

/** What the states are called, in the order of the legend. */
export const STATE_WORDS: Readonly<Record<ReplicaState, string>> = {
  ready: 'ready',
  suspect: 'suspect',
  ejected: 'ejected',
  restarting: 'restarting',
  draining: 'draining',
  down: 'not ready, or no answer',
};

/**
 * The last half hour of a replica from left to right, one unit for each slot; a gap is a time of which nobody knows.
 *
 * @param codes one for each slot, the oldest first.
 * @param label what it says, for those who do not see it.
 */
export function strip(codes: readonly number[], label: string): string {
  const paths = new Map<ReplicaState, string>();
  let from = 0;
  for (let i = 1; i <= codes.length; i++) {
    if (i < codes.length && codes[i] === codes[from]) continue;
    const state = stateOfCode(codes[from]!);
    if (state !== 'none') paths.set(state, (paths.get(state) ?? '') + run(state, from, i - from));
    from = i;
  }
  const drawn = [...paths].map(([state, path]) => `<path class="${state}" d="${path}"/>`);
  return `<svg class="strip" viewBox="0 0 ${codes.length} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${escapeHtml(label)}">${drawn.join('')}</svg>`;
}

/** The shape of a state over a time, as SVG path data. */
function run(state: ReplicaState, x: number, width: number): string {
  return SHAPES[state].map(([top, height]) => `M${x} ${top}h${width}v${height}h-${width}z`).join('');
}

/** How strips are read. @param slots that each strip shows. */
export function stripLegend(slots: number): string {
  const items = (Object.keys(STATE_WORDS) as ReplicaState[]).map(
    (state) =>
      `<li><svg class="strip" viewBox="0 0 4 ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true"><path class="${state}" d="${run(state, 0, 4)}"/></svg>${STATE_WORDS[state]}</li>`,
  );
  return `<ul class="legend">${items.join('')}<li>each strip: the last ${(slots * SLOT_MS) / 60_000} minutes</li></ul>`;
}

/** In words: how much of the known time was in which state. */
export function stripWords(name: string, codes: readonly number[]): string {
  const counts = new Map<string, number>();
  for (const code of codes) counts.set(stateOfCode(code), (counts.get(stateOfCode(code)) ?? 0) + 1);
  counts.delete('none');
  const known = [...counts.values()].reduce((sum, each) => sum + each, 0);
  const parts = [...counts].map(([state, count]) => `${state} ${Math.round((100 * count) / known)} %`);
  return `${name}: ${parts.join(', ') || 'nothing known'}`;
}
