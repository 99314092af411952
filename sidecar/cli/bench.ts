import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommandFailure } from './failure.js';

const ENTRY = join(dirname(fileURLToPath(import.meta.url)), '../../test/bench/main.js');

const NEEDS_CLONE = 'bench needs a clone of the repository, built with `npm run build`';

/**
 * `outrider bench`: runs the side-by-side measurements against nginx, HAProxy and Envoy. They are
 * part of the tests, so they run in a process of their own, and only in a clone of the repository.
 *
 * @returns the exit code of the measurement.
 */
export async function benchCommand(args: readonly string[]): Promise<number> {
  if (!existsSync(ENTRY)) {
    if (!args.includes('--help') && !args.includes('-h')) throw new CommandFailure(NEEDS_CLONE);
    process.stdout.write(`usage: outrider bench MEASUREMENT [options]\n${NEEDS_CLONE}\n`);
    return 0;
  }
  const child = spawn(process.execPath, [ENTRY, ...args], { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(signal === null ? (code ?? 1) : 1));
  });
}
