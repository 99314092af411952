/**
 * `outrider sidecar --takeover`: asks the running sidecar of a file, at its admin port, to be followed by a new process, and
 * waits until that accepts. The successor reads the file anew.
 */

import { writeAddress } from '../../config/codecs/address.js';
import { askAdmin } from '../admin-client.js';
import { CommandFailure, oneLine } from '../failure.js';
import { readSidecarFile } from '../settings.js';
import { withCommand } from './command-override.js';
import { answerLimitMs } from './succession.js';

/** Beyond the time in which the running one knows. */
const SLACK_MS = 5_000;

/** Resolves with 0 when the successor accepts. */
export async function takeoverCommand(file: string, command: readonly string[]): Promise<number> {
  const config = withCommand(
    readSidecarFile(file, () => {}),
    command,
    file,
  );
  const { admin } = config;
  if (admin === undefined || (admin.kind === 'tcp' && admin.port === 0)) {
    throw new CommandFailure(
      `${file}: --takeover finds the running sidecar by its admin port: name one in \`admin\`, or send the process SIGUSR2`,
    );
  }
  const where = writeAddress(admin);
  const limitMs = answerLimitMs(config) + SLACK_MS;
  const answer = await askAdmin(admin, '/takeover', limitMs, { method: 'POST' }).catch((error) => {
    throw new CommandFailure(`no sidecar answers at ${where}: ${oneLine(error)}`);
  });
  const said = answer.body.trim();
  if (answer.status !== 200) throw new CommandFailure(`no takeover at ${where}: ${said}`);
  process.stdout.write(`${said}\n`);
  return 0;
}
