/** Entry of the benchmarks: `npm run bench -- relay`, and the others that `options.ts` lists. Exit codes 0, 1, 2. */

import { readFileSync, writeFileSync } from 'node:fs';
import { messageOf } from '../../sidecar/runtime/log/message-of.js';
import { reportEnd, UsageError } from '../kit/process/command-line.js';
import { benchBalancing, meetsBars as meetsBalancingBars, renderBalancing } from './balancing/main.js';
import { benchDecisions, renderDecisions } from './decisions/main.js';
import { benchDetectors, renderDetectors } from './detectors/main.js';
import { benchDiscovery } from './discovery/main.js';
import { barsOf, renderDiscovery } from './discovery/table.js';
import { benchEngines, reachesGoal, renderEngines } from './engines/main.js';
import { benchFaults } from './faults/main.js';
import { renderFaults } from './faults/table.js';
import { installPeers } from './install-peers.js';
import { type LoadProcess, startLoad } from './load-process.js';
import { benchModels, renderModels } from './models/main.js';
import { type BenchOptions, readOptions, USAGE } from './options.js';
import { meetsBars, type OverloadFigures, renderOverload } from './overload/figures.js';
import { FULL, measureOverload, QUICK, SETUPS } from './overload/main.js';
import { benchPrefix, meetsPrefixBars, renderPrefix } from './prefix/main.js';
import { renderChart } from './relay/chart.js';
import { joinReports } from './relay/join.js';
import { benchRelay, type Report } from './relay/main.js';
import { renderReport } from './relay/table.js';
import { benchScale, joinScale, type ScaleReport } from './scale/main.js';
import { renderScale } from './scale/table.js';
import { benchServing } from './serving/main.js';
import { missedBars, renderServing } from './serving/table.js';
import { benchSoak, renderSoak } from './soak.js';

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

async function withLoad<T>(work: (load: LoadProcess) => Promise<T>): Promise<T> {
  const load = await startLoad();
  try {
    return await work(load);
  } finally {
    load.stop();
  }
}

/** A file that a run wrote by `--output`. */
function written(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`--join: ${messageOf(error)}`);
  }
}

/** What several runs of the relay wrote, as one report. */
function joined(files: readonly string[]): Report {
  return joinReports(new Map(files.map((file) => [file, written(file)])));
}

/** What a benchmark found: its figures, the same as text, and whether they are valid and meet the bars. */
interface Found {
  readonly figures: unknown;
  readonly text: () => string;
  readonly isGood: boolean;
}

/** Benchmarks that print figures, by command. */
const BENCHMARKS: Readonly<Record<string, (options: BenchOptions) => Found | Promise<Found>>> = {
  relay: async (options) => {
    const report =
      options.join === undefined
        ? await withLoad((load) => benchRelay(options, load, say))
        : joined(options.join);
    if (options.chart !== undefined) writeFileSync(options.chart, renderChart(report));
    const isGood = report.modes.every((mode) => mode.subjects.every((s) => s.problems.length === 0));
    return { figures: report, text: () => renderReport(report), isGood };
  },
  soak: async (options) => {
    const results = await withLoad((load) => benchSoak(options, load, say));
    // What grows with the calls is a leak; the bound of the whole is a bar, which depends on what other work delays collections.
    const isGood = results.every((r) => r.problem === '' && r.isFlat);
    return { figures: results, text: () => renderSoak(results), isGood };
  },
  discovery: async (options) => {
    const report = await benchDiscovery(options, say);
    const figures = { ...report, bars: barsOf(report) };
    return { figures, text: () => renderDiscovery(report), isGood: report.live.problem === '' };
  },
  overload: async (options) => {
    const rows: OverloadFigures[] = [];
    for (const setup of SETUPS) {
      say(setup.title);
      rows.push(await measureOverload(setup, options.quick ? QUICK : FULL, { isPinned: true }));
    }
    return { figures: rows, text: () => renderOverload(rows), isGood: rows.every(meetsBars) };
  },
  balancing: async (options) => {
    const report = await benchBalancing(options, say);
    return { figures: report, text: () => renderBalancing(report), isGood: meetsBalancingBars(report) };
  },
  prefix: async (options) => {
    const report = await benchPrefix(options, say);
    return { figures: report, text: () => renderPrefix(report), isGood: meetsPrefixBars(report) };
  },
  faults: async (options) => {
    const report = await benchFaults({ ...options, isPinned: true }, say);
    const isGood = report.rows.every(({ subjects }) => subjects.every((s) => s.problems.length === 0));
    return { figures: report, text: () => renderFaults(report), isGood };
  },
  models: async (options) => {
    const figures = await benchModels(options, say);
    return { figures, text: () => renderModels(figures), isGood: true };
  },
  serving: async (options) => {
    const report = await withLoad((load) => benchServing(options, load, say));
    const missed = missedBars(report);
    const isGood = missed.length === 0 && report.runs.every(({ problem }) => problem === '');
    return { figures: report, text: () => [renderServing(report), ...missed].join('\n'), isGood };
  },
  scale: async (options) => {
    const { join } = options;
    const report =
      join === undefined
        ? await benchScale(options, say)
        : joinScale(join.map((file) => JSON.parse(written(file)) as ScaleReport));
    return { figures: report, text: () => renderScale(report), isGood: true };
  },
  engines: async (options) => {
    const figures = await benchEngines(options, say);
    return { figures, text: () => renderEngines(figures), isGood: reachesGoal(figures, !options.quick) };
  },
  detectors: async (options) => {
    const report = await benchDetectors(options, say);
    return { figures: report, text: () => renderDetectors(report), isGood: true };
  },
  decisions: () => {
    const costs = benchDecisions();
    return { figures: costs, text: () => renderDecisions(costs), isGood: true };
  },
};

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  const { command } = options;
  if (command === 'install') return installPeers(say);
  if (command === 'hpack') {
    await import('./hpack.js');
    return 0;
  }
  const bench = Object.hasOwn(BENCHMARKS, command) ? BENCHMARKS[command] : undefined;
  if (bench === undefined)
    throw new UsageError(command === '' ? USAGE : `found ${command}; expected a benchmark\n${USAGE}`);
  const { figures, text, isGood } = await bench(options);
  const json = `${JSON.stringify(figures, null, 2)}\n`; // Infinity, which stands for `never`, becomes null
  if (options.output !== undefined) writeFileSync(options.output, json);
  process.stdout.write(options.json ? json : `${text()}\n`);
  return isGood ? 0 : 1;
}

// Ended from outside: leave through `exit`, where the subjects are stopped.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = reportEnd('bench', error);
}
