/** `npm run mutants`: plants one defect after the other, and says whether and when the simulator finds it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { packageRoot } from '../../kit/process/package-root.js';
import type { Mutant } from './mutant.js';
import { PLANTED } from './planted.js';
import { REGRESSIONS } from './regressions.js';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    features: { type: 'string' },
  },
});

const ALL: readonly Mutant[] = [...REGRESSIONS, ...PLANTED];

/** The simulator with one file changed, as a program. @throws Error when the text is not there once. */
async function planted({ name, file, find, replace }: Mutant, directory: string): Promise<string> {
  const source = readFileSync(join(packageRoot, file), 'utf8');
  const parts = source.split(find);
  if (parts.length !== 2)
    throw new Error(`${name}: its text stands ${parts.length - 1} times in ${file}, expected once`);
  const program = join(directory, 'simulate.mjs');
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
          onLoad({ filter: /\.ts$/ }, ({ path }) =>
            path === join(packageRoot, file) ? { contents: parts.join(replace), loader: 'ts' } : undefined,
          );
        },
      },
    ],
  });
  return program;
}

interface Outcome {
  readonly seconds: number;
  readonly runs: number;
  /** Empty: it was not found. */
  readonly found: string;
}

/** Runs until the first finding, or until the time is over. */
function hunt(program: string): Promise<Outcome> {
  const begunMs = performance.now();
  const args = ['--seed', values.seed, '--minutes', values.minutes, '--until-found'];
  if (values.features !== undefined) args.push('--features', values.features);
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (part: Buffer) => {
    text += part.toString();
  });
  return new Promise((resolve) => {
    child.on('close', () => {
      const found = /\n {2}(\S.*)\n/.exec(text)?.[1] ?? '';
      const runs = Number([...text.matchAll(/^(\d+) runs/gm)].at(-1)?.[1] ?? 0);
      resolve({ seconds: (performance.now() - begunMs) / 1000, runs, found });
    });
  });
}

async function main(): Promise<void> {
  const chosen = ALL.filter(({ name }) => values.only === undefined || values.only.split(',').includes(name));
  // Below the root, so that packages are found.
  const directory = mkdtempSync(join(packageRoot, 'node_modules', '.mutants-'));
  let missed = 0;
  try {
    for (const mutant of chosen) {
      const { seconds, runs, found } = await hunt(await planted(mutant, directory));
      if (found === '') missed++;
      const what =
        found === ''
          ? 'NOT FOUND'
          : `found after ${seconds.toFixed(0)} s, ${runs} runs: ${found.slice(0, 160)}`;
      console.log(`${mutant.name} (${mutant.area}): ${what}`);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
  console.log(`${chosen.length - missed} of ${chosen.length} found`);
  process.exitCode = missed > 0 ? 1 : 0;
}

await main();
