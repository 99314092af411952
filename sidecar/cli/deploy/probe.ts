import { readAddress } from '../../config/codecs/address.js';
import { askAdmin } from '../admin-client.js';
import { CommandFailure, oneLine } from '../failure.js';

/** Where Prometheus looks by custom, and so where `observe` usually is. */
const USUAL_ADDRESS = '127.0.0.1:9464';
const QUESTIONS: readonly string[] = ['live', 'ready', 'started'];
/** Below the time that container managers give a health check (5 s in our image). */
const TIMEOUT_MS = 4_000;

/**
 * `outrider probe`: one question to `/live`, `/ready` or `/started`, for health checks that can only run a
 * command.
 *
 * @param at address as text; absent: `OUTRIDER_PROBE` of the environment, else 127.0.0.1:9464.
 * @returns 0 when the answer is 200.
 * @throws CommandFailure with what was answered instead, or why nothing was.
 */
export async function probeCommand(what: string, at?: string): Promise<number> {
  if (!QUESTIONS.includes(what))
    throw new CommandFailure(`found ${JSON.stringify(what)}; expected live, ready or started`, 2);
  const text = at ?? process.env['OUTRIDER_PROBE'] ?? USUAL_ADDRESS;
  const read = readAddress(text);
  if (!read.ok) throw new CommandFailure(`--at: ${read.problem}`, 2);
  const answer = await askAdmin(read.value, `/${what}`, { timeoutMs: TIMEOUT_MS }).catch((error) => {
    const isRefused = (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
    const why = isRefused ? 'nothing listens there; --at ADDR asks another address' : oneLine(error);
    throw new CommandFailure(`not ${what}: ${text}: ${why}`);
  });
  const said = answer.body.trim().split('\n', 1)[0] ?? '';
  if (answer.status !== 200)
    throw new CommandFailure(
      `not ${what}: ${text} answered ${answer.status}${said === '' ? '' : `: ${said}`}`,
    );
  process.stdout.write(`${what}\n`);
  return 0;
}
