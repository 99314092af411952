/** Entry of the benchmarks: `npm run bench -- relay`, and the others that `options.ts` lists. Exit codes 0, 1, 2. */

import { writeFileSync } from 'node:fs';
import { tellEnd, UsageError } from '../kit/process/command-line.js';
import { benchDecisions, renderDecisions } from './decisions/main.js';
import { benchDiscovery } from './discovery/main.js';
import { barsOf, renderDiscovery } from './discovery/table.js';
import { benchFaults } from './faults/main.js';
import { renderFaults } from './faults/table.js';
import { installPeers } from './install-peers.js';
import { LoadProcess } from './load-process.js';
import { type BenchOptions, readOptions, USAGE } from './options.js';
import { meetsBars, type OverloadFigures, renderOverload } from './overload/figures.js';
import { FULL, measureOverload, QUICK, SETUPS } from './overload/main.js';
import { renderChart } from './relay/chart.js';
import { benchRelay } from './relay/main.js';
import { renderReport } from './relay/table.js';
import { benchSoak, renderSoak } from './soak.js';

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

async function withLoad<T>(work: (load: LoadProcess) => Promise<T>): Promise<T> {
  const load = await LoadProcess.start();
  try {
    return await work(load);
  } finally {
    load.stop();
  }
}

async function relay(options: BenchOptions): Promise<number> {
  const report = await withLoad((load) => benchRelay(options, load, say));
  const json = `${JSON.stringify(report, null, 2)}\n`;
  if (options.output !== undefined) writeFileSync(options.output, json);
  if (options.chart !== undefined) writeFileSync(options.chart, renderChart(report));
  process.stdout.write(options.json ? json : `${renderReport(report)}\n`);
  return report.modes.some((m) => m.subjects.some((s) => s.problems.length > 0)) ? 1 : 0;
}

async function soak(options: BenchOptions): Promise<number> {
  const results = await withLoad((load) => benchSoak(options, load, say));
  const json = `${JSON.stringify(results, null, 2)}\n`;
  if (options.output !== undefined) writeFileSync(options.output, json);
  process.stdout.write(options.json ? json : `${renderSoak(results)}\n`);
  return results.every((r) => r.problem === '') ? 0 : 1;
}

async function discovery(options: BenchOptions): Promise<number> {
  const report = await benchDiscovery(options, say);
  const json = `${JSON.stringify({ ...report, bars: barsOf(report) }, null, 2)}\n`;
  if (options.output !== undefined) writeFileSync(options.output, json);
  process.stdout.write(options.json ? json : `${renderDiscovery(report)}\n`);
  return report.live.problem === '' ? 0 : 1;
}

async function overload(options: BenchOptions): Promise<number> {
  const rows: OverloadFigures[] = [];
  for (const setup of SETUPS) {
    say(setup.title);
    rows.push(await measureOverload(setup, options.quick ? QUICK : FULL, true));
  }
  const json = `${JSON.stringify(rows, null, 2)}\n`;
  if (options.output !== undefined) writeFileSync(options.output, json);
  process.stdout.write(options.json ? json : `${renderOverload(rows)}\n`);
  return rows.every(meetsBars) ? 0 : 1;
}

async function faults(options: BenchOptions): Promise<number> {
  const report = await benchFaults({ ...options, isPinned: true }, say);
  const json = `${JSON.stringify(report, null, 2)}\n`; // `never` is null
  if (options.output !== undefined) writeFileSync(options.output, json);
  process.stdout.write(options.json ? json : `${renderFaults(report)}\n`);
  return report.rows.some(({ subjects }) => subjects.some(({ problems }) => problems.length > 0)) ? 1 : 0;
}

function decisions(options: BenchOptions): number {
  const costs = benchDecisions();
  const json = `${JSON.stringify(costs, null, 2)}\n`;
  if (options.output !== undefined) writeFileSync(options.output, json);
  process.stdout.write(options.json ? json : `${renderDecisions(costs)}\n`);
  return 0;
}

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  switch (options.command) {
    case 'relay':
      return relay(options);
    case 'soak':
      return soak(options);
    case 'discovery':
      return discovery(options);
    case 'overload':
      return overload(options);
    case 'faults':
      return faults(options);
    case 'decisions':
      return decisions(options);
    case 'hpack':
      await import('./hpack.js');
      return 0;
    case 'install':
      return installPeers(say);
    default:
      throw new UsageError(
        options.command === '' ? USAGE : `found ${options.command}; expected a benchmark\n${USAGE}`,
      );
  }
}

// Ended from outside: leave through `exit`, where the subjects are stopped.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = tellEnd('bench', error);
}
