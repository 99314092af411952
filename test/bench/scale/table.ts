/** The scale benchmark as tables: what was measured, and what a straight line makes of it for larger fleets. Pure. */

import { at, type Fit, fitLine, renewalsPerSecond, type SeriesCount, seriesCost, seriesOf } from './fit.js';
import type { RegistryPoints, ScaleReport } from './main.js';
import type { Point } from './measure.js';

const LARGER = [10_000, 100_000];
const FLEETS = [1_000, ...LARGER];
const LIFETIMES_H = [1, 24, 72];
/** Sidecars that a Prometheus may scrape: upstreams, endpoints of each, methods of each. */
const SHAPES: readonly Omit<SeriesCount, 'series'>[] = [
  { upstreams: 1, endpoints: 10, methods: 2 },
  { upstreams: 3, endpoints: 30, methods: 5 },
  { upstreams: 5, endpoints: 128, methods: 10 },
];

/** The report as text. */
export function renderScale(report: ScaleReport): string {
  const { machine, registries } = report;
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GiB, Linux ${machine.kernel}, node ${machine.node}`,
    'the sidecars, the registry and whatever else runs share this machine: times are upper bounds',
    ...registries.flatMap((each) => ['', ...renderRegistry(each)]),
    ...(report.series.length === 0 ? [] : ['', ...renderSeries(report.series)]),
    '',
    ...renderRenewals(),
  ].join('\n');
}

function renderRegistry({ registry, version, points }: RegistryPoints): string[] {
  const replicas = points[0]!.replicas;
  return [
    `${registry} ${version}, ${replicas} replicas, one of which comes and goes (${points[0]!.changes} changes)`,
    columns([
      [
        ...['sidecars', 'RSS, MB', 'CPU at rest, ms/s', 'CPU per change, ms', 'p50, ms', 'p99, ms'],
        ...['each: connections', 'B/s at rest', 'kB per change', 'CPU per change, ms'],
      ],
      ...points.map((p) => [
        whole(p.sidecars),
        p.registryRssMb.toFixed(0),
        p.registryRestCpu.toFixed(0),
        p.registryCpuMsPerChange.toFixed(0),
        p.p50Ms.toFixed(0),
        p.p99Ms.toFixed(0),
        p.connections.toFixed(1),
        p.restBytesPerSecond.toFixed(0),
        (p.bytesPerChange / 1e3).toFixed(1),
        p.cpuMsPerChange.toFixed(2),
      ]),
    ]),
    ...renderAgents(points),
    ...(points.length < 2 ? [] : renderComputed(points)),
  ];
}

/** What an agent for each hundred sidecars costs; nothing where there are none. */
function renderAgents(points: readonly Point[]): string[] {
  if (points.every(({ agentRssMb }) => agentRssMb === 0)) return [];
  return [
    'an agent for each 100 sidecars; CPU for one sidecar',
    columns([
      ['sidecars', 'RSS of one, MB', 'CPU at rest, ms/s', 'CPU per change, ms', 'checks/s, all'],
      ...points.map((p) => [
        whole(p.sidecars),
        p.agentRssMb.toFixed(0),
        p.agentRestCpu.toFixed(2),
        p.agentCpuMsPerChange.toFixed(2),
        p.checksPerSecond?.toFixed(1) ?? '–',
      ]),
    ]),
  ];
}

function renderComputed(points: readonly Point[]): string[] {
  const lineOf = (field: (point: Point) => number): Fit =>
    fitLine(points.map((point) => [point.sidecars, field(point)]));
  const largest = points.at(-1)!;
  const rss = lineOf((p) => p.registryRssMb);
  const rest = lineOf((p) => p.registryRestCpu);
  const change = lineOf((p) => p.registryCpuMsPerChange);
  const checks = largest.checksPerSecond;
  const worst = [rss, rest, change].map(({ worstMiss }) => `${(worstMiss * 100).toFixed(0)} %`).join(', ');
  const miss = points.length < 3 ? 'of two rows' : `a measured row misses its line by at most ${worst}`;
  return [
    `each sidecar more, by straight lines: ${rss.perUnit.toFixed(2)} MB, ${rest.perUnit.toFixed(2)} ms/s of CPU at rest, ${change.perUnit.toFixed(2)} ms of CPU per change; ${miss}`,
    'COMPUTED by these lines, not measured:',
    columns([
      [
        'sidecars',
        'connections',
        'RSS, GB',
        'cores at rest',
        'CPU per change, s',
        'MB per change',
        'checks/s',
      ],
      ...LARGER.map((n) => [
        whole(n),
        whole(n * largest.connections),
        (at(rss, n) / 1e3).toFixed(1),
        (at(rest, n) / 1e3).toFixed(1),
        (at(change, n) / 1e3).toFixed(1),
        whole((largest.bytesPerChange * n) / 1e6),
        checks === undefined ? '–' : whole((checks / largest.sidecars) * n),
      ]),
    ]),
  ];
}

function renderSeries([one, upstreams, endpoints, methods, check]: readonly SeriesCount[]): string[] {
  const cost = seriesCost([one!, upstreams!, endpoints!, methods!]);
  const { fixed, perUpstream, perEndpoint, perMethod } = cost;
  return [
    `series of a caller's sidecar, every call answered: ${fixed.toFixed(0)} + U × (${perUpstream.toFixed(0)} + ${perEndpoint.toFixed(0)} × E + ${perMethod.toFixed(0)} × M), with U upstreams, E endpoints and M methods of each`,
    `  check: U ${check!.upstreams}, E ${check!.endpoints}, M ${check!.methods} has ${check!.series}, by the formula ${seriesOf(cost, check!)}`,
    'COMPUTED by the formula:',
    columns([
      ['U', 'E', 'M', 'each', ...FLEETS.map((n) => `${whole(n)} sidecars`)],
      ...SHAPES.map((shape) => {
        const each = seriesOf(cost, shape);
        const { upstreams: u, endpoints: e, methods: m } = shape;
        return [u, e, m, each, ...FLEETS.map((n) => n * each)].map(whole);
      }),
    ]),
  ];
}

function renderRenewals(): string[] {
  return [
    'COMPUTED: certificates renewed per second, each after two thirds of its life',
    columns([
      ['sidecars', ...LIFETIMES_H.map((hours) => `life ${hours} h`)],
      ...FLEETS.map((n) => [
        whole(n),
        ...LIFETIMES_H.map((hours) => renewalsPerSecond(n, hours * 3_600).toPrecision(2)),
      ]),
    ]),
  ];
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows
    .map((row) => `  ${row.map((cell, i) => cell.padStart(widths[i]!)).join('  ')}`.trimEnd())
    .join('\n');
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}
