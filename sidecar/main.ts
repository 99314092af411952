#!/usr/bin/env -S node --max-semi-space-size=4
/**
 * The edge of the process: arguments in, exit code out (0 done, 1 failed, 2 the command line was wrong).
 *
 * Whatever goes wrong, the user reads one line and no stack; OUTRIDER_DEBUG=1 adds the stack for those who
 * work on Outrider. Everything beyond the version check is loaded afterwards, so that an old Node can say so.
 */

const OLDEST_NODE = 20;

function fail(error: unknown): never {
  const text = error instanceof Error ? error.message || error.name : String(error);
  process.stderr.write(`outrider: ${text.split('\n', 1)[0]}\n`);
  if (process.env['OUTRIDER_DEBUG'] === '1' && error instanceof Error)
    process.stderr.write(`${error.stack}\n`);
  process.exit(1);
}

/** A reader that went away (`| head`) is no failure, and must not end a sidecar that is serving. */
function ignoreReaderThatLeft(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') fail(error);
}

async function main(): Promise<void> {
  const found = process.versions.node;
  if (Number.parseInt(found, 10) < OLDEST_NODE) {
    fail(new Error(`Node ${OLDEST_NODE} or newer is needed, this is ${found}`));
  }
  const { runProgram } = await import('./cli/program.js');
  process.exit(await runProgram(process.argv.slice(2)));
}

process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
process.stdout.on('error', ignoreReaderThatLeft);
main().catch(fail);
