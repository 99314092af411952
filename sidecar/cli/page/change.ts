import { readToken } from '../../admin/token.js';
import { present } from '../../config/present.js';
import { askAdmin } from '../admin-client.js';
import { oneLine } from '../failure.js';
import type { Target } from '../status/status.js';

/** What came of a drain, or of its end. */
export interface Changed {
  readonly ok: boolean;
  /** For the operator: one sentence without its full stop. */
  readonly says: string;
}

/** A takeover waits until the successor's model is ready; a drain is answered at once. */
const LIMIT_MS = 120_000;
/** HTTP status of a request without the token, or with another one (RFC 9110). */
const UNAUTHORIZED = 401;

/**
 * Passes a drain on to the sidecar itself, or the end of one, which is a takeover by a new process. Never rejects.
 *
 * @param tokenFile of `--token-file`; undefined: the page was started without. It is read each time, as the sidecar reads its own.
 */
export async function changeSidecar(
  { name, address }: Target,
  what: 'drain' | 'undrain',
  tokenFile: string | undefined,
): Promise<Changed> {
  try {
    const token = tokenFile === undefined ? undefined : readToken(tokenFile);
    const path = what === 'drain' ? '/drain' : '/takeover';
    const asked = { method: 'POST', timeoutMs: LIMIT_MS, ...present('token', token) } as const;
    const { status, body } = await askAdmin(address, path, asked);
    if (status !== UNAUTHORIZED) return { ok: status < 300, says: `${name}: ${body.trim()}` };
    return { ok: false, says: `${name}: ${tokenProblem(tokenFile, body)}` };
  } catch (error) {
    return { ok: false, says: `${name}: ${oneLine(error)}` };
  }
}

/** Only the page can be given the token: its visitor has no place for it. */
function tokenProblem(tokenFile: string | undefined, body: string): string {
  return tokenFile === undefined
    ? 'it asks for a token (admin_token_file), and this page was started without one; end the page and start it with --token-file FILE, the file of the sidecar'
    : `${body.trim()}; it was read from ${tokenFile} (--token-file), and has to be that of admin_token_file`;
}
