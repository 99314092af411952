/** What of the product's call path runs in simulations alone: V8's own counts, by folder, and every function that no call has reached. */
import { readFileSync } from 'node:fs';
import { type Profiler, Session } from 'node:inspector/promises';
import { findSourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';
import { UNREACHED } from './unreached.js';

const FOLDERS = ['http2', 'relay', 'outbound', 'inbound', 'cluster', 'core'];

interface Unreached {
  /** From the folder `sidecar` on. */
  readonly file: string;
  readonly line: number;
  readonly name: string;
}

interface Totals {
  functions: number;
  reached: number;
  bytes: number;
  reachedBytes: number;
}

export class Coverage {
  private readonly session = new Session();

  async start(): Promise<void> {
    this.session.connect();
    await this.session.post('Profiler.enable');
    await this.session.post('Profiler.startPreciseCoverage', { callCount: false, detailed: true });
  }

  /** The table, and below it the functions that were never called: first those without a reason. */
  async report(): Promise<string> {
    const { result } = await this.session.post('Profiler.takePreciseCoverage');
    this.session.disconnect();
    const totals = new Map<string, Totals>();
    const missed: Unreached[] = [];
    for (const script of result) {
      const [, file = '', folder = ''] = /\/dist\/sidecar\/((\w+)(?:\/.*)?\.js)$/.exec(script.url) ?? [];
      if (!FOLDERS.includes(folder)) continue;
      const known = totals.get(folder) ?? { functions: 0, reached: 0, bytes: 0, reachedBytes: 0 };
      totals.set(folder, known);
      missed.push(...add(known, script, file));
    }
    return [...tableOf(totals), '', ...listOf(missed)].join('\n');
  }
}

/** Adds a file to the totals of its folder. Returns its functions that were never called. */
function add(totals: Totals, { url, functions }: Profiler.ScriptCoverage, file: string): Unreached[] {
  const source = readFileSync(fileURLToPath(url), 'utf8');
  const isReached = new Uint8Array(source.length).fill(1);
  const missed: Unreached[] = [];
  // Inner ranges come after the outer ones, and say more.
  for (const { functionName: name, ranges } of functions) {
    for (const { startOffset, endOffset, count } of ranges)
      isReached.fill(count > 0 ? 1 : 0, startOffset, endOffset);
    const [first] = ranges;
    // The module itself, and arrow functions within a function.
    if (first === undefined || name === '' || first.startOffset === 0) continue;
    totals.functions++;
    if (first.count > 0) totals.reached++;
    else missed.push({ file: file.replace(/js$/, 'ts'), name, line: lineOf(url, source, first.startOffset) });
  }
  totals.bytes += source.length;
  totals.reachedBytes += isReached.reduce((sum, each) => sum + each, 0);
  return missed;
}

/** In the source; without a source map in the file as it was built. */
function lineOf(url: string, source: string, offset: number): number {
  const before = source.slice(0, offset).split('\n');
  const line = before.length - 1;
  const entry = findSourceMap(fileURLToPath(url))?.findEntry(line, before.at(-1)!.length);
  return (entry !== undefined && 'originalLine' in entry ? entry.originalLine : line) + 1;
}

function tableOf(totals: ReadonlyMap<string, Totals>): string[] {
  const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`;
  return [
    '| folder | functions reached | of | code reached |',
    '| --- | ---: | ---: | ---: |',
    ...FOLDERS.flatMap((folder) => {
      const found = totals.get(folder);
      if (found === undefined) return [];
      const { functions, reached, bytes, reachedBytes } = found;
      return [
        `| ${folder} | ${percent(reached, functions)} | ${functions} | ${percent(reachedBytes, bytes)} |`,
      ];
    }),
  ];
}

function listOf(missed: readonly Unreached[]): string[] {
  const reasonOf = ({ file, name }: Unreached): string =>
    UNREACHED.find(
      ({ files, functions }) =>
        files.some((each) => file.startsWith(each)) && (functions === undefined || functions.includes(name)),
    )?.why ?? '';
  const lines = missed.map((each) => `${each.file}:${each.line} ${each.name}`);
  const open = lines.filter((_, i) => reasonOf(missed[i]!) === '');
  const byReason = grouped(missed, reasonOf);
  return [
    `${open.length} functions that no simulation has reached, without a reason:`,
    ...open.map((line) => `  ${line}`),
    ...[...byReason].flatMap(([why, all]) =>
      why === ''
        ? []
        : ['', `${all.length}: ${why}`, ...all.map(({ file, line, name }) => `  ${file}:${line} ${name}`)],
    ),
  ];
}

function grouped<T>(list: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of list) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}
