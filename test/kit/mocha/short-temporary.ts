/** Sockets lie in temporary folders, and the path of one has 107 bytes: under a long `TMPDIR`, tests make theirs in `/tmp`. */
import { tmpdir } from 'node:os';

/** What tests put below it, a run directory of `up` and a socket in it, has up to 70 bytes. */
const MAX_BYTES = 37;

/** Where temporary folders are made: `place`, unless sockets below it would have paths that are too long. */
export function shortTemporary(place: string): string {
  return Buffer.byteLength(place) > MAX_BYTES ? '/tmp' : place;
}

process.env['TMPDIR'] = shortTemporary(tmpdir());
