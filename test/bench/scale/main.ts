/**
 * What a registry bears of many sidecars: connections, memory and CPU at rest, bytes and CPU of each change, and how soon all sidecars
 * know it. The sidecars are the product's discovery without its calls; the Consul and the Kubernetes API are real.
 */

import type { BenchOptions } from '../options.js';
import { describeMachine, type Machine } from '../relay/machine.js';
import { measureConsul } from './consul.js';
import type { SeriesCount } from './fit.js';
import { measureKubernetes } from './kubernetes.js';
import type { Point } from './measure.js';
import type { SCALE_PARTS } from './parts.js';
import { countSeries } from './series.js';

/** The points of one registry. */
export interface RegistryPoints {
  readonly registry: 'Consul' | 'Kubernetes';
  readonly version: string;
  readonly points: readonly Point[];
}

/** All figures of the scale benchmark. */
export interface ScaleReport {
  readonly machine: Machine;
  readonly registries: readonly RegistryPoints[];
  /** Empty: not counted. */
  readonly series: readonly SeriesCount[];
}

/** What several runs wrote, as one: sizes of the same registry and as many replicas belong together. */
export function joinScale(reports: readonly ScaleReport[]): ScaleReport {
  const joined = new Map<string, RegistryPoints>();
  for (const { registry, version, points } of reports.flatMap(({ registries }) => registries)) {
    const key = `${registry} ${version} ${points[0]!.replicas}`;
    const all = [...(joined.get(key)?.points ?? []), ...points];
    joined.set(key, { registry, version, points: all.sort((a, b) => a.sidecars - b.sidecars) });
  }
  const series = reports.findLast((report) => report.series.length > 0)?.series ?? [];
  return { machine: reports[0]!.machine, registries: [...joined.values()], series };
}

/** Runs the parts that are asked for. Each number of replicas has a registry of its own. */
export async function benchScale(options: BenchOptions, say: (line: string) => void): Promise<ScaleReport> {
  const { only, quick, runs: rounds, sidecars: sizes } = options;
  const isWanted = (part: (typeof SCALE_PARTS)[number]): boolean => only.size === 0 || only.has(part);
  const registries: RegistryPoints[] = [];
  for (const replicas of options.replicas) {
    const how = { replicas, rounds, quick };
    if (isWanted('consul'))
      registries.push({ registry: 'Consul', ...(await measureConsul(sizes, how, say)) });
    const kubernetes = isWanted('kubernetes') ? await measureKubernetes(sizes, how, say) : undefined;
    if (kubernetes !== undefined) registries.push({ registry: 'Kubernetes', ...kubernetes });
  }
  if (isWanted('series')) say('series of a sidecar');
  const series = isWanted('series') ? await countSeries() : [];
  return { machine: describeMachine(), registries, series };
}
