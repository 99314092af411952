/**
 * Runs chosen tests, for `npm run test:one` and `npm run test:watch`: arguments that name a test file (its source or its
 * compiled form) or a folder of tests choose what is loaded, all others go to mocha, such as `-g PATTERN`. With `--watch`
 * first, the compiler watches the sources, and the tests run again whenever a file that they import has changed.
 */
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { packageRoot } from '../process/package-root.js';

/** Mocha without the launcher that would start a second process, so that `node --watch` sees what it imports. */
const MOCHA = join(packageRoot, 'node_modules/mocha/lib/cli/cli.js');
const COMPILER = join(packageRoot, 'node_modules/typescript/bin/tsc');

/** What to load for an argument: nothing when it names neither a test file nor a folder. A path that leads to neither is an error. */
function testsIn(argument: string, at: number, words: readonly string[]): string | undefined {
  const path = relative(packageRoot, argument).replace(/^dist\//, '');
  if (path.startsWith('..') || !existsSync(join(packageRoot, path.replace(/\.js$/, '.ts')))) {
    if (!/[/\\]|\.[jt]s$/.test(argument) || words[at - 1]?.startsWith('-')) return undefined;
    console.error(`found ${argument}; expected a test file, a folder of tests, or an option of mocha`);
    process.exit(2);
  }
  const isFolder = statSync(join(packageRoot, path), { throwIfNoEntry: false })?.isDirectory() === true;
  return isFolder ? `dist/${path}/**/*.test.js` : `dist/${path.replace(/\.ts$/, '.js')}`;
}

function run(watch: boolean, words: readonly string[]): void {
  const chosen = words.map(testsIn);
  const files = chosen.filter((file) => file !== undefined);
  const options = words.filter((_, i) => chosen[i] === undefined);
  const node = ['--enable-source-maps', ...(watch ? ['--watch', '--watch-preserve-output'] : [])];
  const start = (...args: readonly string[]) =>
    spawn(process.execPath, args, { cwd: packageRoot, stdio: 'inherit' });
  const compiler = watch ? start(COMPILER, '-p', '.', '--watch', '--preserveWatchOutput') : undefined;
  const mocha = start(...node, MOCHA, ...options, ...(files.length > 0 ? files : ['dist/test/**/*.test.js']));
  process.once('SIGTERM', () => void mocha.kill());
  mocha.once('exit', (code) => {
    compiler?.kill();
    process.exitCode = code ?? 1;
  });
}

const [first, ...rest] = process.argv.slice(2);
if (first === '--watch') run(true, rest);
else run(false, process.argv.slice(2));
