import { escapeHtml } from '../../admin/escape.js';
import type { EdgeRates } from './history.js';
import { type Box, type Labelled, labelPlaces } from './label-places.js';
import type { Edge } from './mesh-view.js';

/**
 * Units of the picture, about a pixel each. A column leaves room for the two lines of words on a call between
 * two services; a line leaves room for them above and below.
 */
const NODE = { width: 120, height: 40 } as const;
const COLUMN = 330;
const LINE = 92;
const MARGIN = 10;
/** Words on a line, in the font of the style: one character of their average, and both lines of them. */
const WORDS = { character: 7.3, height: 36 } as const;

/** A service in the picture. */
export interface Node {
  readonly name: string;
  readonly ready: number;
  readonly all: number;
}

/** Column of each service: one to the right of the services that call it. Calls in a circle end the walk. */
export function columnsOf(
  names: readonly string[],
  edges: readonly Pick<Edge, 'from' | 'to'>[],
): ReadonlyMap<string, number> {
  const columns = new Map(names.map((name) => [name, 0]));
  // Longest paths by relaxation (Bellman-Ford): as many rounds as there are services settle any order of calls.
  for (let round = 0; round < names.length; round++)
    for (const { from, to } of edges) {
      const next = (columns.get(from) ?? 0) + 1;
      if (from !== to && next < names.length && next > (columns.get(to) ?? 0)) columns.set(to, next);
    }
  // A circle drives its services to the right; columns without a service are left out.
  const used = [...new Set(columns.values())].sort((a, b) => a - b);
  return new Map([...columns].map(([name, column]) => [name, used.indexOf(column)]));
}

/** Services and the calls between them, as inline SVG. */
export function graph(nodes: readonly Node[], edges: readonly Edge[]): string {
  const columns = columnsOf(
    nodes.map(({ name }) => name),
    edges,
  );
  const taken = new Map<number, number>();
  const places = new Map(
    nodes.map(({ name }) => {
      const column = columns.get(name)!;
      const line = taken.get(column) ?? 0;
      taken.set(column, line + 1);
      return [name, { x: MARGIN + column * COLUMN, y: MARGIN + 18 + line * LINE }] as const;
    }),
  );
  const width = 2 * MARGIN + NODE.width + Math.max(0, ...columns.values()) * COLUMN;
  const height = 2 * MARGIN + Math.max(1, ...taken.values()) * LINE;
  const lines = edges.flatMap((edge) => {
    const [from, to] = [places.get(edge.from), places.get(edge.to)];
    return from === undefined || to === undefined ? [] : [lineOf(edge, from, to)];
  });
  const services = [...places.values()].map(({ x, y }) => ({
    x: x + NODE.width / 2,
    y: y + NODE.height / 2,
    ...NODE,
  }));
  const words = labelPlaces(lines, services);
  const arrows = lines.map((line) => arrow(line));
  const labels = lines.map((line, i) => label(line, words[i]!));
  const boxes = nodes.map((node) => box(node, places.get(node.name)!));
  return `<svg class="graph" viewBox="0 0 ${width} ${height}" width="${width}" role="img" aria-label="services and the calls between them">
<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>
${arrows.join('\n')}${boxes.join('\n')}${labels.join('\n')}</svg>`;
}

/** The upper left corner of a service. */
interface Place {
  readonly x: number;
  readonly y: number;
}

/** A line with its colour and its words. */
interface Line extends Labelled {
  readonly tone: 'good' | 'warn' | 'bad';
  readonly words: readonly [string, string];
}

/**
 * A line from the right side of the caller to the left side of the service. Its colour goes by success: below
 * 99 % it warns, below 95 % it is bad, as on the dashboards.
 */
function lineOf({ now }: Edge, from: Place, to: Place): Line {
  const { successRatio = 1 } = now;
  const words = edgeWords(now);
  return {
    tone: successRatio >= 0.99 ? 'good' : successRatio >= 0.95 ? 'warn' : 'bad',
    words,
    x1: from.x + NODE.width,
    y1: from.y + NODE.height / 2,
    x2: to.x,
    y2: to.y + NODE.height / 2,
    width: WORDS.character * Math.max(...words.map(({ length }) => length)),
    height: WORDS.height,
  };
}

function arrow({ tone, x1, y1, x2, y2 }: Line): string {
  return `<g class="edge ${tone}"><line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" marker-end="url(#tip)"/></g>`;
}

/** One line of words above the line of the call, one below it. Drawn last, with an edge in the colour of the page: lines of other calls may pass behind them. */
function label({ words: [first, second] }: Line, { x, y }: Box): string {
  const at = (text: string, above: number) =>
    text === '' ? '' : `<text x="${round(x)}" y="${round(y + above)}">${escapeHtml(text)}</text>`;
  return `<g class="words">${at(first, -6)}${at(second, 15)}</g>`;
}

function round(units: number): number {
  return Math.round(units * 10) / 10;
}

/** Calls and success; latencies. */
export function edgeWords({ perSecond, successRatio, p50, p99 }: EdgeRates): readonly [string, string] {
  if (perSecond === 0 || successRatio === undefined) return ['no calls', ''];
  const latency = p50 === undefined || p99 === undefined ? '' : `p50 ${duration(p50)}, p99 ${duration(p99)}`;
  return [`${perSecond.toFixed(perSecond < 10 ? 1 : 0)} calls/s, ${percent(successRatio)}`, latency];
}

/** Rounded down, so that 99.96 % are not shown as all. */
function percent(ratio: number): string {
  return ratio === 1 ? '100 %' : `${(Math.floor(ratio * 1_000) / 10).toFixed(1)} %`;
}

/** Seconds in the unit that reads best. */
function duration(seconds: number): string {
  if (seconds >= 1) return `${seconds.toFixed(1)} s`;
  const ms = seconds * 1_000;
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

/** A service with how many of its sidecars are ready; one that is called and has none here is outlined only. */
function box({ name, ready, all }: Node, { x, y }: Place): string {
  const tone = all === 0 ? 'none' : ready === all ? 'good' : ready === 0 ? 'bad' : 'warn';
  const count = all === 0 ? 'no sidecar here' : `${ready} of ${all} ready`;
  return `<g class="node ${tone}"><rect x="${x}" y="${y}" width="${NODE.width}" height="${NODE.height}" rx="6"/>
<text x="${x + NODE.width / 2}" y="${y + 17}">${escapeHtml(name)}</text><text class="quiet" x="${x + NODE.width / 2}" y="${y + 32}">${count}</text></g>`;
}
