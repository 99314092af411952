/**
 * Draws a timeline: calls by interval above, latencies on a logarithmic scale below, marks between them, the fault as a shade behind.
 * Colours are CSS variables of `markup/colours.ts`. Widths are chosen so that texts stay readable at 360 CSS pixels.
 */
import type { MarkKind } from '../../history/record.js';
import { CALL_ENDS, type CallEnd } from '../figures/counts.js';
import { duration } from '../figures/format.js';
import { colourStyle } from '../markup/colours.js';
import { html, Markup, type Piece } from '../markup/escape.js';
import type { Timeline } from './timeline.js';

const WIDTH = 480;
const LEFT = 46;
const RIGHT = 10;
const CALLS = { top: 20, height: 66 };
/** Room for the signs of marks: lanes below each other, and the width that no other sign may touch. */
const STRIP = { top: 90, lanes: 3, lane: 13, sign: 13 };
const LATENCY = { top: 151, height: 54 };
const AXIS_TOP = 219;
const HEIGHT = 225;
const HEAD = 56;
/** Where the entries of the legend begin; a word has as much room as it needs in a wide font. */
const LEGEND_X = { right: 6, degraded: 56, failed: 132, wrong: 186, fault: 246 } as const;
/** Least latency on the scale, ms. */
const LEAST_MS = 1;

/** Greatest values of the scales, the same for all pictures that are compared. */
export interface Scales {
  readonly endMs: number;
  readonly mostCalls: number;
  readonly mostMs: number;
}

/** What stands above a picture that is a file of its own. */
export interface PictureHead {
  readonly title: string;
}

/** Signs of marks, with what each means, in the order of the legend. */
export const MARK_SIGNS: Readonly<
  Partial<Record<MarkKind, { readonly sign: string; readonly meaning: string }>>
> = {
  ejected: { sign: '▼', meaning: 'an endpoint is ejected' },
  restored: { sign: '▲', meaning: 'it gets calls again' },
  died: { sign: '✕', meaning: 'a process ended' },
  restarted: { sign: '↻', meaning: 'it was started again' },
  note: { sign: '•', meaning: 'something else' },
};

/** Style of the pictures, with classes that begin with `tl-`. */
export const TIMELINE_STYLE = `.tl text { font: 11px system-ui, sans-serif; fill: var(--quiet) }
.tl-right { fill: var(--right) } .tl-degraded { fill: var(--degraded) } .tl-failed { fill: var(--failed) } .tl-wrong { fill: var(--wrong) }
.tl-fault { fill: var(--fault) } .tl-line { stroke: var(--line); fill: none } .tl .tl-mark { fill: var(--text); font-size: 12px }
.tl-p50 { fill: var(--right) } .tl-p99 { fill: none; stroke: var(--text) }`;

/** One scale for several timelines. */
export function scalesOf(timelines: readonly Timeline[]): Scales {
  const most = (pick: (timeline: Timeline) => number): number => Math.max(1, ...timelines.map(pick));
  return {
    endMs: most(({ endMs }) => endMs),
    mostCalls: most(({ mostCalls }) => mostCalls),
    mostMs: most(({ mostMs }) => mostMs),
  };
}

/** The picture for a page that has the styles. */
export function timelineSvg(timeline: Timeline, scales: Scales, label: string): Markup {
  return html`<svg class="tl" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${label}">${drawing(timeline, scales)}</svg>`;
}

/** The picture as a file of its own: with its title, a legend and its styles. */
export function timelineFile(timeline: Timeline, scales: Scales, { title }: PictureHead): string {
  const style = new Markup(
    `${colourStyle('svg')}\n${TIMELINE_STYLE}\n.tl .tl-title { fill: var(--text); font-weight: 600 }`,
  );
  const picture = html`<svg xmlns="http://www.w3.org/2000/svg" class="tl" viewBox="0 0 ${WIDTH} ${HEIGHT + HEAD}" width="${WIDTH}" height="${HEIGHT + HEAD}" role="img" aria-label="${title}">
<style>${style}</style><rect width="100%" height="100%" style="fill: var(--page)"/>
<text class="tl-title" x="6" y="15">${title}</text>${legend()}
<g transform="translate(0 ${HEAD})">${drawing(timeline, scales)}</g></svg>
`;
  return picture.text;
}

/** For a file of its own; on the page it stands once above all pictures. */
function legend(): Markup {
  const entries = CALL_ENDS.map(
    (end) =>
      html`<rect class="tl-${end}" x="${LEGEND_X[end]}" y="24" width="9" height="9"/><text x="${LEGEND_X[end] + 12}" y="32">${end}</text>`,
  );
  const at = LEGEND_X.fault;
  return html`${entries}<rect class="tl-fault" x="${at}" y="24" width="9" height="9"/><text x="${at + 12}" y="32">fault</text><text x="6" y="48">▼ ejected   ▲ back   ✕ ended   ↻ restarted</text>`;
}

/** The parts from the back to the front. */
function drawing(timeline: Timeline, scales: Scales): Markup {
  const x = (ms: number): number =>
    round(LEFT + (Math.min(ms, scales.endMs) / scales.endMs) * (WIDTH - LEFT - RIGHT));
  return html`${faults(timeline, x)}${grid(timeline, scales, x)}${bars(timeline, scales, x)}${dots(timeline, scales, x)}${signs(timeline, x)}`;
}

/** From ms of the run to the x of the picture. */
type Place = (ms: number) => number;

/** A shade behind both scales, and a line above the bars, which hide the shade. */
function faults({ faults }: Timeline, x: Place): Piece {
  const height = LATENCY.top + LATENCY.height - CALLS.top;
  return faults.map(
    ({ fromMs, toMs }) =>
      html`<rect class="tl-fault" x="${x(fromMs)}" y="${CALLS.top}" width="${round(Math.max(1.5, x(toMs) - x(fromMs)))}" height="${height}"><title>fault from ${duration(fromMs)} to ${duration(toMs)}</title></rect><rect class="tl-failed" x="${x(fromMs)}" y="${CALLS.top - 4}" width="${round(Math.max(1.5, x(toMs) - x(fromMs)))}" height="2.5"/>`,
  );
}

/** Lines and texts of the three scales. */
function grid({ stepMs }: Timeline, { endMs, mostCalls, mostMs }: Scales, x: Place): Markup {
  const end = WIDTH - RIGHT;
  const bottom = CALLS.top + CALLS.height;
  const anchor = (ms: number): string => {
    if (ms === 0) return 'start';
    return x(ms) > end - 10 ? 'end' : 'middle';
  };
  const seconds = ticks(endMs).map(
    (ms) => html`<text x="${x(ms)}" y="${AXIS_TOP}" text-anchor="${anchor(ms)}">${ms / 1_000} s</text>`,
  );
  const levels = latencyTicks(mostMs).map(
    (ms) =>
      html`<path class="tl-line" d="M${LEFT} ${latencyY(ms, mostMs)}H${end}" stroke-dasharray="2 3"/><text x="${LEFT - 4}" y="${latencyY(ms, mostMs) + 4}" text-anchor="end">${duration(ms)}</text>`,
  );
  return html`<text x="${LEFT}" y="11">calls made in each ${duration(stepMs)}</text><text x="${LEFT - 4}" y="${CALLS.top + 8}" text-anchor="end">${mostCalls}</text><text x="${LEFT - 4}" y="${bottom}" text-anchor="end">0</text><path class="tl-line" d="M${LEFT} ${bottom}H${end}"/><text x="${LEFT}" y="${LATENCY.top - 7}">their latency: ● median, ○ p99</text>${levels}<path class="tl-line" d="M${LEFT} ${LATENCY.top + LATENCY.height}H${end}"/>${seconds}`;
}

/** One path for each end, stacked: right at the bottom, failed and wrong on top of it. */
function bars({ intervals, stepMs }: Timeline, { mostCalls }: Scales, x: Place): Piece {
  const unit = CALLS.height / mostCalls;
  const paths: Record<CallEnd, string> = { right: '', degraded: '', failed: '', wrong: '' };
  for (const interval of intervals) {
    const from = x(interval.fromMs);
    const width = round(Math.max(0.5, x(interval.fromMs + stepMs) - from - 0.6));
    let y = CALLS.top + CALLS.height;
    for (const end of CALL_ENDS) {
      const height = interval[end] * unit;
      if (height === 0) continue;
      y -= height;
      paths[end] += `M${from} ${round(y)}h${width}v${round(height)}h-${width}z`;
    }
  }
  return CALL_ENDS.map((end) => (paths[end] === '' ? '' : html`<path class="tl-${end}" d="${paths[end]}"/>`));
}

/** Two dots for each interval in which a call of the main model was answered. */
function dots({ intervals, stepMs }: Timeline, { mostMs }: Scales, x: Place): Piece {
  return intervals.map(({ fromMs, p50Ms, p99Ms }) => {
    if (p50Ms === undefined || p99Ms === undefined) return '';
    const at = x(fromMs + stepMs / 2);
    return html`<circle class="tl-p99" cx="${at}" cy="${latencyY(p99Ms, mostMs)}" r="1.8"/><circle class="tl-p50" cx="${at}" cy="${latencyY(p50Ms, mostMs)}" r="1.6"/>`;
  });
}

/** A sign for each mark; its text is shown where the pointer rests on it, and in the list below the picture. */
function signs({ marks }: Timeline, x: Place): Piece {
  const places = placedSigns(marks.map(({ atMs }) => x(Math.max(0, atMs))));
  return marks.map(({ atMs, kind, replica, text }, i) => {
    const place = places[i];
    if (place === undefined) return '';
    const { sign } = MARK_SIGNS[kind] ?? { sign: '•' };
    const about = `${duration(Math.max(0, atMs))}: ${kind}${replica === undefined ? '' : ` ${replica}`}: ${text}`;
    const y = STRIP.top + STRIP.lane * (place.lane + 1) - 1;
    return html`<text class="tl-mark" x="${place.x}" y="${y}" text-anchor="middle">${sign}<title>${about}</title></text>`;
  });
}

/**
 * Where the signs of marks at these places stand so that none lies on another: in the first lane with room. Undefined where no lane has
 * room: the list below the picture has that mark.
 */
export function placedSigns(
  wanted: readonly number[],
): readonly ({ readonly x: number; readonly lane: number } | undefined)[] {
  const ends: number[] = new Array(STRIP.lanes).fill(Number.NEGATIVE_INFINITY);
  const placed: ({ x: number; lane: number } | undefined)[] = wanted.map(() => undefined);
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a]! - wanted[b]!);
  for (const i of order) {
    const x = wanted[i]!;
    const lane = ends.findIndex((end) => end <= x - STRIP.sign / 2);
    if (lane < 0) continue;
    ends[lane] = x + STRIP.sign / 2;
    placed[i] = { x, lane };
  }
  return placed;
}

/** Height on a logarithmic scale from 1 ms to the greatest latency. */
function latencyY(ms: number, mostMs: number): number {
  const share = Math.log(Math.max(ms, LEAST_MS) / LEAST_MS) / Math.log(Math.max(mostMs, 10) / LEAST_MS);
  return round(LATENCY.top + LATENCY.height * (1 - Math.min(1, share)));
}

/** Powers of ten below the greatest latency; every second one where they would stand close. */
function latencyTicks(mostMs: number): readonly number[] {
  const all = [1, 10, 100, 1_000, 10_000, 100_000].filter((ms) => ms <= Math.max(10, mostMs));
  return all.length > 4 ? all.filter((_, i) => i % 2 === 0) : all;
}

/** Five to ten moments of the time axis, in whole seconds where that is possible, ms. */
function ticks(endMs: number): readonly number[] {
  const step =
    [200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000].find((ms) => endMs / ms <= 10) ?? 120_000;
  return Array.from({ length: Math.floor(endMs / step) + 1 }, (_, i) => i * step);
}

/** A tenth of a unit is finer than any screen shows. */
function round(value: number): number {
  return Math.round(value * 10) / 10;
}
