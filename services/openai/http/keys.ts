/** API keys of callers. */
import { createHash, timingSafeEqual } from 'node:crypto';

/** Who calls. */
export interface Caller {
  readonly name: string;
  /** Address of the sidecar whose identity this caller has; `undefined`: the default one. */
  readonly engine: string | undefined;
}

interface Key {
  readonly digest: Buffer;
  readonly caller: Caller;
}

const LINE =
  /^(?<name>[A-Za-z0-9][A-Za-z0-9._-]{0,62})\s+sha256:(?<digest>[0-9a-f]{64})(?:\s+(?<engine>\S+))?$/;

/** SHA-256 is enough for keys of 256 random bits: they cannot be guessed, however fast a guess is. */
const digestOf = (key: string): Buffer => createHash('sha256').update(key).digest();

/** The line of a key file that lets `name` call with `key`. */
export const keyLine = (name: string, key: string): string =>
  `${name} sha256:${digestOf(key).toString('hex')}`;

/**
 * The keys of a file. Each line is `NAME sha256:DIGEST [ADDRESS]`; lines that are empty or begin with `#` are left out.
 * A name may have several lines, for a change of its key.
 */
export class Keys {
  private constructor(private readonly keys: readonly Key[]) {}

  /** Throws an error that names the line, but never prints it: it may hold a key. */
  static parse(text: string): Keys {
    const keys: Key[] = [];
    for (const [index, line] of text.split(/\r?\n/).entries()) {
      if (line.trim() === '' || line.startsWith('#')) continue;
      const { name, digest, engine } = LINE.exec(line.trim())?.groups ?? {};
      if (name === undefined || digest === undefined)
        throw new Error(`line ${index + 1}: expected NAME sha256:DIGEST [ADDRESS]`);
      keys.push({ digest: Buffer.from(digest, 'hex'), caller: { name, engine } });
    }
    if (keys.length === 0) throw new Error('the file has no key');
    return new Keys(keys);
  }

  /** Addresses of sidecars that the file names. */
  get engines(): readonly string[] {
    return [...new Set(this.keys.flatMap(({ caller }) => caller.engine ?? []))];
  }

  /** The caller with this `Authorization` header. It takes the same time for every wrong key. */
  callerOf(authorization: string | undefined): Caller | undefined {
    const [, key = ''] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
    const digest = digestOf(key);
    let caller: Caller | undefined;
    for (const each of this.keys) if (timingSafeEqual(each.digest, digest)) caller = each.caller;
    return caller;
  }
}
