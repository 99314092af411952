import type { Tone } from '../../admin/endpoint-state.js';
import { escapeHtml } from '../../admin/escape.js';
import { failing, short, time } from '../../admin/look/words.js';
import { edgeTone } from './attention.js';
import type { Edge } from './mesh-view.js';

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

/**
 * The services of each column from top to bottom, so that few lines cross: each stands at the mean height of those that it is connected to
 * (barycentre heuristic, four sweeps). It depends on names and calls alone: a picture does not jump when numbers change.
 */
export function orderOf(
  columns: ReadonlyMap<string, number>,
  edges: readonly Pick<Edge, 'from' | 'to'>[],
): readonly (readonly string[])[] {
  const count = Math.max(-1, ...columns.values()) + 1;
  const order = Array.from({ length: count }, (_, at) =>
    [...columns].flatMap(([name, column]) => (column === at ? [name] : [])).sort(),
  );
  const near = new Map([...columns.keys()].map((name) => [name, [] as string[]]));
  for (const { from, to } of edges) {
    near.get(from)?.push(to);
    near.get(to)?.push(from);
  }
  for (let sweep = 0; sweep < 4; sweep++)
    for (let i = 0; i < count; i++) {
      const at = sweep % 2 === 0 ? i : count - 1 - i;
      const heights = new Map(
        order.flatMap((names) => names.map((name, y) => [name, y / names.length] as const)),
      );
      const mean = (name: string) => {
        const others = near.get(name)!.filter((other) => columns.get(other) !== at);
        if (others.length === 0) return heights.get(name)!;
        return others.reduce((sum, other) => sum + heights.get(other)!, 0) / others.length;
      };
      const means = new Map(order[at]!.map((name) => [name, mean(name)]));
      order[at] = order[at]!.toSorted((a, b) => means.get(a)! - means.get(b)! || (a < b ? -1 : 1));
    }
  return order;
}

/**
 * Services in columns from callers to those they call. Each box has a row for each caller, the worst first; the script draws a line from the
 * caller to the row. So each line ends beside its numbers, and no line crosses any.
 */
export function graph(nodes: readonly Node[], edges: readonly Edge[]): string {
  const columns = columnsOf(
    nodes.map(({ name }) => name),
    edges,
  );
  const known = new Map(nodes.map((node) => [node.name, node]));
  const drawn = orderOf(columns, edges).map((names) => {
    const boxes = names.map((name) =>
      box(
        known.get(name)!,
        edges.filter(({ to }) => to === name),
      ),
    );
    return `<div class="column">${boxes.join('')}</div>`;
  });
  return `<div class="graph"><svg class="edges" data-keep aria-hidden="true"></svg>${drawn.join('')}</div>`;
}

/** The colour of a service by its replicas; empty: it has none here. */
export function serviceTone({ ready, all }: Pick<Node, 'ready' | 'all'>): Tone | '' {
  return all === 0 ? '' : ready === all ? 'good' : ready === 0 ? 'bad' : 'warn';
}

/** A service with how many of its replicas are ready, and the calls that it gets. */
function box(node: Node, edges: readonly Edge[]): string {
  const { name, ready, all } = node;
  const count = all === 0 ? 'no sidecar here' : `${ready} of ${all} ready`;
  const rows = edges.toSorted((a, b) => toneRank(a) - toneRank(b) || (a.from < b.from ? -1 : 1)).map(row);
  const calls = rows.length === 0 ? '' : `<ul class="calls" aria-label="callers">${rows.join('')}</ul>`;
  const shown = escapeHtml(name);
  return `<div class="node ${serviceTone(node)}" data-key="${shown}" title="${shown}"><div class="top"><a href="#${anchorOf(name)}">${shown}</a><span class="count">${count}</span></div>${calls}</div>`;
}

function toneRank(edge: Edge): number {
  const tone = edgeTone(edge);
  return tone === 'bad' ? 0 : tone === 'warn' ? 1 : 2;
}

/** One caller: its calls, those that fail, and its slowest percent. */
function row(edge: Edge): string {
  const { from, to, now } = edge;
  const { perSecond, failedRatio = 0, p50, p99 } = now;
  const [caller, called] = [escapeHtml(from), escapeHtml(to)];
  const isIdle = perSecond === 0;
  const failed = failedRatio > 0 ? ` <b>${failing(failedRatio)} fail</b>` : '';
  const rate = isIdle ? 'no calls' : `${short(perSecond)}/s${failed}`;
  const late = p99 === undefined ? '' : `p99 ${time(p99)}`;
  const title = p50 === undefined || p99 === undefined ? '' : `, p50 ${time(p50)}, p99 ${time(p99)}`;
  return `<li class="${edgeTone(edge)}${isIdle ? ' idle' : ''}" data-key="${caller}" data-from="${caller}" data-to="${called}" title="${caller} calls ${called}: ${isIdle ? 'no calls' : `${short(perSecond)}/s, ${failing(failedRatio)} fail`}${title}"><span class="from">${caller}</span><span>${rate}</span><span class="late">${late}</span></li>`;
}

/** The id of the part of the page that has all about a service; it has no space and no quote, whatever the name is. */
export function anchorOf(service: string): string {
  return `s-${encodeURIComponent(service).replaceAll("'", '%27')}`;
}
