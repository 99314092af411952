/** `npm run mutants`: plants one defect after the other, and says whether and when the simulator finds it. */
import { spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { packageRoot } from '../../kit/process/package-root.js';
import { editsOf, type Mutant } from './mutant.js';
import { PLANTED } from './planted.js';
import { REGRESSIONS } from './regressions.js';

const HELP = `npm run mutants -- [OPTIONS]

  --only A,B      these defects; default all
  --minutes M     CPU time for each, at most; default 10
  --seed N        the first seed; default 1
  --features A,B  runs choose from these only
  --results FILE  adds a line for each to FILE; several processes may share it
  --shrink DIR    the smallest case of each that is found, as a file in DIR
  --table FILE    what was found, as a table: it replaces the one between the marks in FILE. With --results all that FILE has,
                  and nothing is planted unless --only names it`;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    features: { type: 'string' },
    results: { type: 'string' },
    shrink: { type: 'string' },
    table: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});

const ALL: readonly Mutant[] = [...REGRESSIONS, ...PLANTED];

/** Contents of the files with the defect in them. @throws Error when a text is not there once. */
function changedFiles(mutant: Mutant): Map<string, string> {
  const contents = new Map<string, string>();
  for (const { file, find, replace } of editsOf(mutant)) {
    const path = join(packageRoot, file);
    const parts = (contents.get(path) ?? readFileSync(path, 'utf8')).split(find);
    if (parts.length !== 2)
      throw new Error(`${mutant.name}: its text stands ${parts.length - 1} times in ${file}, expected once`);
    contents.set(path, parts.join(replace));
  }
  return contents;
}

/** The simulator with the defect in it, as a program. @param mutant absent: as it is. */
async function planted(directory: string, mutant?: Mutant): Promise<string> {
  const contents = mutant === undefined ? new Map<string, string>() : changedFiles(mutant);
  const program = join(directory, `${mutant?.name ?? 'clean'}.mjs`);
  await build({
    entryPoints: [join(packageRoot, 'test/simulation/main.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    outfile: program,
    logLevel: 'silent',
    plugins: [
      {
        name: 'plant',
        setup({ onLoad }) {
          onLoad({ filter: /\.ts$/ }, ({ path }) => {
            const changed = contents.get(path);
            return changed === undefined ? undefined : { contents: changed, loader: 'ts' };
          });
        },
      },
    ],
  });
  return program;
}

interface Outcome {
  /** Most CPU time, minutes. */
  readonly minutes: string;
  /** CPU time, without that of the checks of seeds; seeds that were passed over are counted at the mean. */
  readonly seconds: number;
  /** Seeds, with those. */
  readonly runs: number;
  /** The seed that found it. */
  readonly seed: string;
  /** Empty: it was not found. */
  readonly found: string;
  /** Seeds that broke an invariant and show nothing (`isShownBy`). */
  readonly dirty: readonly string[];
}

/** Programs: with a defect, and without. */
interface Programs {
  readonly program: string;
  readonly clean: string;
  readonly needs: readonly string[];
}

/** Runs until a finding that is not there without the defect, or until the time is over. */
async function hunt({ program, clean, needs }: Programs): Promise<Outcome> {
  const dirty: string[] = [];
  let seconds = 0;
  let runs = 0;
  let passed = 0;
  const spent = () => ({ seconds: (seconds * (runs + passed)) / Math.max(1, runs), runs: runs + passed });
  for (let next = Number(values.seed); ; next = Number(dirty.at(-1)) + 1) {
    const leftMinutes = Number(values.minutes) - seconds / 60;
    const having = needs.length > 0 ? ['--having', needs.join(',')] : [];
    const part = await runsOf(program, ['--seed', `${next}`, '--minutes', `${leftMinutes}`, ...having]);
    seconds += part.seconds;
    runs += part.runs;
    passed += part.passed;
    const isOver = part.found === '';
    const { seed, found } = part;
    if (isOver || (await isShownBy(part.seed, { program, clean })))
      return { seed, found, minutes: values.minutes, ...spent(), dirty };
    dirty.push(part.seed);
    if (seconds >= 60 * Number(values.minutes))
      return { minutes: values.minutes, ...spent(), seed: '', found: '', dirty };
  }
}

/**
 * Whether a seed shows the defect: alone in a process it breaks an invariant with the defect, and none without it. A defect may keep what it
 * spoils from run to run, so that a finding may not come again alone.
 */
async function isShownBy(
  seed: string,
  { program, clean }: Pick<Programs, 'program' | 'clean'>,
): Promise<boolean> {
  const alone = ['--seed', seed, '--runs', '1'];
  if ((await runsOf(program, alone)).found === '') return false;
  return (await runsOf(clean, alone)).found === '';
}

type Part = Pick<Outcome, 'seconds' | 'runs' | 'seed' | 'found'> & { readonly passed: number };

/** Runs a program until its first finding. */
function runsOf(program: string, range: readonly string[]): Promise<Part> {
  const args = [...range, '--cpu-time', '--until-found'];
  if (values.features !== undefined) args.push('--features', values.features);
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (part: Buffer) => {
    text += part.toString();
  });
  return new Promise((resolve, reject) => {
    child.on('close', () => {
      const [, runs, passed = '0', seconds] =
        [...text.matchAll(/^(\d+) runs, (?:(\d+) passed over, )?.* ([\d.]+) s of CPU/gm)].at(-1) ?? [];
      if (seconds === undefined)
        return reject(new Error(`the simulator ended early:\n${text.slice(-2_000)}`));
      resolve({
        seconds: Number(seconds),
        runs: Number(runs),
        passed: Number(passed),
        seed: /^seed (\d+) broke/m.exec(text)?.[1] ?? '',
        found: /\n {2}(\S.*)\n/.exec(text)?.[1] ?? '',
      });
    });
  });
}

/** Writes the smallest case of a seed that found the defect. */
function shrinkTo(program: string, seed: string, file: string): Promise<void> {
  const args = [program, '--seed', seed, '--runs', '1', '--shrink', file];
  if (values.features !== undefined) args.push('--features', values.features);
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  return new Promise((resolve) => void child.on('close', () => resolve()));
}

const MARKS = [
  '<!-- mutants: written by `npm run mutants -- --table` -->',
  '<!-- end of mutants -->',
] as const;

type Row = readonly [Mutant, Outcome];

function tableOf(rows: readonly Row[]): string {
  const found = rows.filter(([, outcome]) => outcome.found !== '').length;
  const machine = `${cpus().length} cores, ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`;
  const lines = rows.map(([{ name, area }, { seconds, runs, seed, found: what, dirty = [] }]) => {
    const how = what === '' ? '**not found** | –' : `\`${what.split(',')[0]}\` | ${seed}, clean without it`;
    return `| ${name} | ${area} | ${how} | ${dirty.length} | ${seconds.toFixed(0)} | ${runs} |`;
  });
  const minutes = rows.map(([, outcome]) => Number(outcome.minutes));
  const missing = ALL.filter(({ name }) => !rows.some(([each]) => each.name === name)).map(
    ({ name }) => `\`${name}\``,
  );
  return [
    `${found} of ${rows.length} found, with ${Math.min(...minutes)} to ${Math.max(...minutes)} CPU minutes each (${machine}).`,
    'Each seed that finds a defect is run once more alone, with it and without it. Unless only the run with it breaks an invariant, it is passed over.',
    ...(missing.length > 0 ? ['', `Not measured: ${missing.join(', ')}.`] : []),
    '',
    '| defect | area | found by | seed | passed over | CPU s | runs |',
    '| --- | --- | --- | --- | --: | --: | --: |',
    ...lines,
  ].join('\n');
}

/** @throws Error when the file has no marks. */
function writeTable(file: string, rows: readonly Row[]): void {
  const text = readFileSync(file, 'utf8');
  const [from, to] = [text.indexOf(MARKS[0]), text.indexOf(MARKS[1])];
  if (from < 0 || to < from) throw new Error(`${file} has no marks for the table`);
  writeFileSync(file, `${text.slice(0, from + MARKS[0].length)}\n\n${tableOf(rows)}\n\n${text.slice(to)}`);
}

/** Of the file of results: the last line of each defect counts. */
function measuredRows(file: string): Row[] {
  const byName = new Map<string, Outcome>();
  for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
    const { name, ...outcome } = JSON.parse(line) as Outcome & { readonly name: string };
    byName.set(name, outcome);
  }
  return ALL.flatMap((mutant) => {
    const outcome = byName.get(mutant.name);
    return outcome === undefined ? [] : [[mutant, outcome] as const];
  });
}

function chosenMutants(): readonly Mutant[] {
  const { only, results, table } = values;
  if (only !== undefined) return ALL.filter(({ name }) => only.split(',').includes(name));
  return results !== undefined && table !== undefined ? [] : ALL;
}

async function main(): Promise<void> {
  const chosen = chosenMutants();
  // Below the root, so that packages are found.
  const directory = mkdtempSync(join(packageRoot, 'node_modules', '.mutants-'));
  const rows: Row[] = [];
  try {
    const clean = await planted(directory);
    for (const mutant of chosen) {
      const program = await planted(directory, mutant);
      const outcome = await hunt({ program, clean, needs: mutant.needs ?? [] });
      const { seconds, runs, seed, found, dirty } = outcome;
      rows.push([mutant, outcome]);
      if (values.results !== undefined)
        appendFileSync(values.results, `${JSON.stringify({ name: mutant.name, ...outcome })}\n`);
      const what =
        found === ''
          ? `NOT FOUND in ${seconds.toFixed(0)} s, ${runs} runs`
          : `found after ${seconds.toFixed(0)} s, ${runs} runs (seed ${seed}, clean without it): ${found.slice(0, 160)}`;
      const passed = dirty.length === 0 ? '' : `; passed over, as they show nothing: ${dirty.join(', ')}`;
      console.log(`${mutant.name} (${mutant.area}): ${what}${passed}`);
      if (values.shrink !== undefined && found !== '')
        await shrinkTo(program, seed, join(values.shrink, `${mutant.name}.json`));
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
  const missed = rows.filter(([, { found }]) => found === '').length;
  console.log(`${chosen.length - missed} of ${chosen.length} found`);
  if (values.table !== undefined)
    writeTable(values.table, values.results === undefined ? rows : measuredRows(values.results));
  process.exitCode = missed > 0 ? 1 : 0;
}

if (values.help === true) console.log(HELP);
else await main();
