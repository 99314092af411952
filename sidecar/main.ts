#!/usr/bin/env -S node --max-semi-space-size=16 --v8-pool-size=1
/**
 * Entry of the program: arguments in, exit code out (0 done, 1 failed, 2 wrong usage). An error is one line; its stack is
 * printed under OUTRIDER_DEBUG=1. Everything else is loaded after the version check, so that an old Node can report itself.
 */
import { existsSync, statSync } from 'node:fs';

const OLDEST_NODE = 20;

function fail(error: unknown): never {
  const text = error instanceof Error ? error.message || error.name : String(error);
  process.stderr.write(`outrider: ${text.split('\n', 1)[0]}\n`);
  if (process.env['OUTRIDER_DEBUG'] === '1' && error instanceof Error)
    process.stderr.write(`${error.stack}\n`);
  process.exit(1);
}

/** A reader that has exited (`| head`) must not end a sidecar. */
function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') fail(error);
}

type Program = typeof import('./cli/program.js');

/**
 * The program in a few files, which `npm run build` makes of it after the compiler and which loads in half the time;
 * undefined where it is not there, or older than what the compiler wrote last. A packed program has nothing else.
 */
function bundle(): string | undefined {
  const made = new URL('../bundle/program.js', import.meta.url);
  if (!existsSync(new URL('./cli/program.js', import.meta.url))) return made.href;
  const times = [made, new URL(import.meta.url), new URL('../.tsbuildinfo', import.meta.url)].map(
    (url) => statSync(url, { throwIfNoEntry: false })?.mtimeMs,
  );
  const [madeMs = -1, ...compiledMs] = times;
  return compiledMs.every((ms = 0) => ms <= madeMs) ? made.href : undefined;
}

async function main(): Promise<void> {
  const found = process.versions.node;
  if (Number.parseInt(found, 10) < OLDEST_NODE) {
    fail(new Error(`Node ${OLDEST_NODE} or newer is needed, this is ${found}`));
  }
  const { runProgram }: Program = await import(bundle() ?? './cli/program.js');
  process.exit(await runProgram(process.argv.slice(2)));
}

// A reload that is asked for while the program is loaded comes before the file is read: there is nothing to do, and nothing to end.
if (process.argv[2] === 'sidecar') process.on('SIGHUP', () => {});
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
process.stdout.on('error', ignoreClosedPipe);
main().catch(fail);
