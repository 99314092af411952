import type { ConsulConfig } from '../../../config/model.js';
import { codeOf, type Environment, nonEmpty, readSmall, stampOf, wrong } from '../../settings-files.js';

/** Where the file says that the token is. */
interface TokenConfig {
  readonly tokenFile?: ConsulConfig['tokenFile'] | undefined;
}

/**
 * The ACL token for the next request, never quoted in a message: from the file the configuration names,
 * `CONSUL_HTTP_TOKEN_FILE` or `CONSUL_HTTP_TOKEN`, in this order.
 */
export function tokenSource(config: TokenConfig, env: Environment): () => string | undefined {
  if (config.tokenFile !== undefined) return tokenFile('consul.token_file', config.tokenFile);
  const file = nonEmpty(env['CONSUL_HTTP_TOKEN_FILE']);
  if (file !== undefined) return tokenFile('CONSUL_HTTP_TOKEN_FILE', file);
  const token = nonEmpty(env['CONSUL_HTTP_TOKEN']?.trim());
  if (token !== undefined) checkToken('CONSUL_HTTP_TOKEN', token);
  return () => token;
}

/** The token in a file. While a changed file cannot be read, or holds nothing usable, the last good token stays. */
function tokenFile(from: string, path: string): () => string | undefined {
  let seen = '';
  let token: string | undefined;
  const read = (): void => {
    const version = stampOf(path);
    if (version === seen) return;
    const text = readSmall(path).trim();
    checkToken(from, text);
    token = text;
    seen = version;
  };
  try {
    read();
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
    throw wrong(from, path, `a file that holds a token: ${codeOf(error)}`);
  }
  return () => {
    try {
      read();
    } catch {}
    return token;
  };
}

/** What a header can carry. The token itself is never quoted. */
function checkToken(from: string, token: string): void {
  if (token === '') throw new Error(`${from} holds no token; expected one line with the token`);
  if (!/^[\x21-\x7e]{1,4096}$/.test(token))
    throw new Error(
      `${from} holds something else than a token; expected one line of printable ASCII without spaces`,
    );
}
