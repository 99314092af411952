import { readToken } from '../../admin/token.js';
import { writeAddress } from '../../config/codecs/address.js';
import { present } from '../../config/present.js';
import { askAdmin } from '../admin-client.js';
import { CommandFailure, oneLine } from '../failure.js';
import { readSidecarFile } from '../read-config.js';
import { withCommand } from './command-override.js';
import { answerLimitMs } from './takeover.js';

/** Allowed beyond the limit of the running sidecar itself. */
const SLACK_MS = 5_000;

/**
 * `outrider sidecar --takeover`: asks the running sidecar of a file, at its admin port, for a
 * takeover by a new process that reads the file again.
 *
 * @returns 0 once the successor accepts.
 * @throws CommandFailure with the sidecar's reason when it does not.
 */
export async function takeoverCommand(file: string, command: readonly string[]): Promise<number> {
  const config = withCommand(
    readSidecarFile(file, () => {}),
    command,
    file,
  );
  const { admin, adminTokenFile } = config;
  if (admin === undefined || (admin.kind === 'tcp' && admin.port === 0))
    throw new CommandFailure(
      `${file}: --takeover finds the running sidecar by its admin port: name one in \`admin\`, or send the process SIGUSR2`,
    );
  const where = writeAddress(admin);
  const token = adminTokenFile === undefined ? undefined : tokenIn(adminTokenFile);
  const timeoutMs = answerLimitMs(config) + SLACK_MS;
  const answer = await askAdmin(admin, '/takeover', {
    method: 'POST',
    timeoutMs,
    ...present('token', token),
  }).catch((error) => {
    throw new CommandFailure(`no sidecar answers at ${where}: ${oneLine(error)}`);
  });
  const text = answer.body.trim();
  if (answer.status !== 200) throw new CommandFailure(`no takeover at ${where}: ${text}`);
  process.stdout.write(`${text}\n`);
  return 0;
}

/** @throws CommandFailure when the file holds no token. */
function tokenIn(file: string): string {
  try {
    return readToken(file);
  } catch (error) {
    throw new CommandFailure(oneLine(error));
  }
}
