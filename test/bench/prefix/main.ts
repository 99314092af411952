/**
 * What it brings to choose an engine by the beginning of the prompt: 16 engines in simulated time, and the sidecars of one caller or
 * four, which choose by the code of the product.
 */
import {
  type BalancerKind,
  type BalancerOptions,
  makeBalancer,
} from '../../../sidecar/core/balancing/balancers.js';
import { ENGINE } from './engine.js';
import { type FleetFigures, type Policy, runFleet } from './fleet.js';
import { WORKLOADS } from './workloads.js';

const ENGINES = 16;
const CALLERS = [1, 4];
const KEY = 'ring-hash by a key of the session';
const PREFIX = 'prefix';

const policy = (
  name: string,
  by: Policy['by'],
  kind: BalancerKind,
  options: BalancerOptions = {},
): Policy => ({ name, by, make: (random) => makeBalancer(kind, random, options) });

const POLICIES: readonly Policy[] = [
  policy('least-loaded', 'nothing', 'least-loaded'),
  policy('hash_on prompt 256', 'beginning', 'ring-hash'),
  policy('hash_on prompt 256, spill_above 1', 'beginning', 'ring-hash', { spillAbove: 1 }),
  policy(KEY, 'session', 'ring-hash'),
  policy(`${KEY}, spill_above 1`, 'session', 'ring-hash', { spillAbove: 1 }),
  policy(PREFIX, 'prompt', 'prefix', { cacheTokens: ENGINE.cacheTokens }),
];

/** One workload under one policy, in the mean of the seeds. */
interface PrefixRow extends FleetFigures {
  readonly workload: string;
  readonly callers: number;
  readonly policy: string;
}

export interface PrefixReport {
  readonly seeds: number;
  readonly rows: readonly PrefixRow[];
}

/** Simulates each workload under each policy. */
export async function benchPrefix(
  {
    quick,
    runs,
    only,
  }: { readonly quick: boolean; readonly runs: number; readonly only: ReadonlySet<string> },
  say: (line: string) => void,
): Promise<PrefixReport> {
  const forMs = quick ? 40_000 : 180_000;
  const named = WORKLOADS.filter(({ name }) => only.has(name));
  const rows: PrefixRow[] = [];
  for (const workload of named.length > 0 ? named : WORKLOADS)
    for (const callers of CALLERS)
      for (const each of POLICIES) {
        say(`${workload.name}, callers: ${callers}, ${each.name}`);
        const found = Array.from({ length: runs }, (_, i) =>
          runFleet({
            ...{ workload, policy: each, engines: ENGINES, callers, forMs },
            ...{ warmMs: forMs * 0.4, seed: i + 1 },
          }),
        );
        rows.push({ workload: workload.name, callers, policy: each.name, ...meanOf(found) });
      }
  return { seeds: runs, rows };
}

function meanOf(all: readonly FleetFigures[]): FleetFigures {
  const mean = (key: keyof FleetFigures): number => all.reduce((sum, one) => sum + one[key], 0) / all.length;
  return {
    calls: mean('calls'),
    cached: mean('cached'),
    ideal: mean('ideal'),
    ttftP50Ms: mean('ttftP50Ms'),
    ttftP99Ms: mean('ttftP99Ms'),
    maxOverMean: mean('maxOverMean'),
    busy: mean('busy'),
  };
}

/** Where one sidecar sees all turns of a chat, nearly all that an engine can have cached is, and no engine has much more to do than others. */
export function meetsPrefixBars({ rows }: PrefixReport): boolean {
  return rows
    .filter(({ workload, callers, policy: name }) => workload === 'chat' && callers === 1 && name === PREFIX)
    .every(({ cached, ideal, maxOverMean }) => cached >= ideal - 0.03 && maxOverMean <= 1.3);
}

/** The report as a table of Markdown for each workload. */
export function renderPrefix({ rows, seeds }: PrefixReport): string {
  const lines = [
    `${ENGINES} engines of ${ENGINE.places} places and ${ENGINE.cacheTokens} cached tokens, simulated; the mean of ${seeds} seeds`,
  ];
  for (const { name, says } of WORKLOADS) {
    const own = rows.filter(({ workload }) => workload === name);
    if (own.length === 0) continue;
    lines.push('', `${name}: ${says}`, '');
    lines.push('| sidecars of callers | policy | cached | ideal | TTFT p50 | TTFT p99 | max/mean load |');
    lines.push('| --: | -- | --: | --: | --: | --: | --: |');
    for (const row of own) {
      const shares = [row.cached, row.ideal].map((share) => `${(100 * share).toFixed(0)} %`);
      const times = [row.ttftP50Ms, row.ttftP99Ms].map((ms) => `${ms.toFixed(0)} ms`);
      const cells = [row.callers, row.policy, ...shares, ...times, row.maxOverMean.toFixed(2)];
      lines.push(`| ${cells.join(' | ')} |`);
    }
  }
  return lines.join('\n');
}
