import { spawn } from 'node:child_process';
import type { WakeFacts, WakeTarget } from '../outbound/cold-start.js';
import { messageOf } from '../runtime/log/message-of.js';

/** A start is only asked for: what takes longer to answer is not waited for, ms. */
const POST_MS = 10_000;
const COMMAND_MS = 30_000;

/**
 * Asks for the start of a service, by a POST or by a program. Resolves with what went wrong, in one sentence; empty: nothing.
 * @param env of the program, beside what it is told.
 */
export function wake(
  { url, command }: WakeTarget,
  facts: WakeFacts,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  return command === undefined ? post(url!, facts) : run(command, facts, env);
}

/** Redirects are not followed: the request says what runs here, and goes where the file says. */
async function post(url: string, facts: WakeFacts): Promise<string> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(facts),
      redirect: 'manual',
      signal: AbortSignal.timeout(POST_MS),
    });
    await response.body?.cancel();
    return response.ok ? '' : `${url} answered with status ${response.status}`;
  } catch (error) {
    const { message, cause } = error as Error;
    return `${url}: ${cause instanceof Error ? cause.message : message}`;
  }
}

/** The arguments go to the program as they are, and what it prints is not kept. */
function run(
  [program = '', ...args]: readonly string[],
  { upstream, waiting }: WakeFacts,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  return new Promise<string>((resolve) => {
    const child = spawn(program, args, {
      stdio: 'ignore',
      env: { ...env, OUTRIDER_WAKE_UPSTREAM: upstream, OUTRIDER_WAKE_WAITING: String(waiting) },
      // Not `timeout`: its timer stays, and holds the process, where the program could not be started.
      signal: AbortSignal.timeout(COMMAND_MS),
      killSignal: 'SIGKILL',
    });
    child.on('error', ({ name, message }) =>
      resolve(
        name === 'AbortError'
          ? `${program} did not end within ${COMMAND_MS / 1_000} s`
          : `${program}: ${message}`,
      ),
    );
    child.on('close', (code, signal) => {
      if (code === 0) resolve('');
      else resolve(`${program} ended with ${code === null ? `signal ${signal}` : `exit code ${code}`}`);
    });
    // What the system refuses at once is thrown, such as for want of memory.
  }).catch((error: unknown) => `${program}: ${messageOf(error)}`);
}
