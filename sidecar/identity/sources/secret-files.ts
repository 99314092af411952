import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { runsAsRoot } from '../../runtime/process/user.js';
import type { IdentityParts, IdentityPaths } from '../identity.js';
import { type IdentityProblem, isProblem } from '../spiffe.js';

const MAX_FILE_BYTES = 1024 * 1024;
/** Any permission at all for group or world. */
const OTHERS = 0o077;
/** The same without reading by the group. */
const OTHERS_THAN_GROUP = 0o037;

/**
 * Reads the three PEM files of an identity: regular files only, at most 1 MiB, and a key only when
 * group and world have no permission on it. A key of root's may be read by its group too, which is
 * how volumes of Kubernetes give it to another user (`fsGroup`); PostgreSQL has the same rule for
 * its `ssl_key_file`. The checks are made on the open file, so that it cannot
 * be exchanged in between.
 */
export function readIdentityFiles(paths: IdentityPaths): IdentityParts | IdentityProblem {
  const certChainPem = readBounded(paths.cert, { secret: false });
  if (typeof certChainPem !== 'string') return certChainPem;
  const keyPem = readBounded(paths.key, { secret: true });
  if (typeof keyPem !== 'string') return keyPem;
  const rootsPem = readBounded(paths.roots, { secret: false });
  if (typeof rootsPem !== 'string') return rootsPem;
  return { certChainPem, keyPem, rootsPem };
}

function readBounded(path: string, options: { readonly secret: boolean }): string | IdentityProblem {
  let file: number;
  try {
    // Non-blocking: opening a FIFO would wait for a writer.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return { problem: `${path}: ${errorCode(error)}` };
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) return { problem: `${path}: not a regular file` };
    if (stat.size > MAX_FILE_BYTES) return { problem: `${path}: larger than ${MAX_FILE_BYTES} bytes` };
    if (options.secret && stat.mode & (isLentByRoot(stat) ? OTHERS_THAN_GROUP : OTHERS)) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      return { problem: `${path}: the private key has mode ${mode}; others must not read it: chmod 600` };
    }
    return readFileSync(file, 'utf8');
  } catch (error) {
    return { problem: `${path}: ${errorCode(error)}` };
  } finally {
    closeSync(file);
  }
}

/** Root's, and this process is another user: it can only have got it by its group. */
function isLentByRoot({ uid }: { readonly uid: number }): boolean {
  return uid === 0 && !runsAsRoot();
}

const CODES: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'may not be read by this user',
  EISDIR: 'not a regular file',
};

function errorCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
  return CODES[code] ?? code;
}

/** Whether two reads had the same result, also when it is the same problem. */
export function isSameParts(a: IdentityParts | IdentityProblem, b: IdentityParts | IdentityProblem): boolean {
  if (isProblem(a) || isProblem(b)) return isProblem(a) && isProblem(b) && a.problem === b.problem;
  return a.certChainPem === b.certChainPem && a.keyPem === b.keyPem && a.rootsPem === b.rootsPem;
}
