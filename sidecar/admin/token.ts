import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';

const SHORTEST = 16;
const LONGEST = 512;

/**
 * Reads a token: the text of the file without the white space around it, 16 to 512 visible characters.
 *
 * @throws Error of one line when the file cannot be read or holds no such text.
 */
export function readToken(file: string): string {
  const token = readFileSync(file, 'utf8').trim();
  if (/^[\x21-\x7e]+$/.test(token) && token.length >= SHORTEST && token.length <= LONGEST) return token;
  throw new Error(`${file} holds no token: ${SHORTEST} to ${LONGEST} visible characters are expected`);
}

/**
 * The bearer token (RFC 6750) that requests which change something have to bring. Its file is read
 * for each of them, so that a token that was replaced is used at once; they are rare.
 */
export class AdminToken {
  private constructor(private readonly file: string) {}

  /** @throws Error when the file holds no token now: a start without one is a mistake. */
  static open(file: string): AdminToken {
    readToken(file);
    return new AdminToken(file);
  }

  /** Why a request with this header is refused, in one sentence; undefined: it has the token. */
  refusal(authorization: string | undefined): string | undefined {
    let token: string;
    try {
      token = readToken(this.file);
    } catch {
      return 'the token of this sidecar cannot be read, so that no request has it';
    }
    const given = /^Bearer +([\x21-\x7e]+)$/i.exec(authorization ?? '')?.[1];
    if (given === undefined) return 'the header "Authorization: Bearer TOKEN" is missing (admin_token_file)';
    return timingSafeEqual(digest(given), digest(token)) ? undefined : 'the token is another one';
  }
}

/** Of equal length, whatever the texts are. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
