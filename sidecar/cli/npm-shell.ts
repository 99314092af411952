import { readFileSync } from 'node:fs';
import { attempt } from '../runtime/attempt.js';
import { systemTimers } from '../runtime/time/timers.js';

const PERIOD_MS = 250;

/**
 * Whether a process with the arguments `parent` is a shell in which npx or `npm run` runs this program, and nothing else. A script of
 * several commands may end on purpose before this one: `outrider up & …`.
 *
 * @param script npm_lifecycle_script of the environment; the processes that this program starts inherit it.
 */
export function isNpmShell(parent: readonly string[], script: string | undefined): boolean {
  const [, flag, command = '', ...more] = parent;
  if (script === undefined || flag !== '-c' || more.length > 0) return false;
  return command.startsWith(script) && /^'?(?:[\w@+./-]*\/)?outrider'?(?: [^&|;<>()`\n]*)?$/.test(command);
}

/**
 * Calls `onEnd` if npx has ended the shell of this process. At SIGTERM, npm ends the shell alone (`@npmcli/promise-spawn`), and shells
 * such as dash do not pass the signal on. Returns how to stop watching.
 */
export function whenNpmShellEnds(onEnd: () => void): () => void {
  const shell = process.ppid;
  const args = attempt(() => readFileSync(`/proc/${shell}/cmdline`, 'utf8'), '')
    .split('\0')
    .slice(0, -1);
  if (!isNpmShell(args, process.env['npm_lifecycle_script'])) return () => {};
  const look = (): void => {
    if (process.ppid === shell) return;
    timer.cancel();
    onEnd();
  };
  const timer = systemTimers.every(PERIOD_MS, look, { unref: true });
  return () => timer.cancel();
}
