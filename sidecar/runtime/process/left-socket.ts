import { linkSync, lstatSync, renameSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { attempt } from '../attempt.js';

/** Removes the socket at `path`, if there is one. False: what is there is no socket, and stays. */
export function removeSocket(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSocket() === false) return false;
  rmSync(path, { force: true });
  return true;
}

/**
 * Removes the socket at `path` if nothing listens there: a process that was killed left it. True: the path is free. False: something
 * listens, or what is there is no socket.
 *
 * Of several processes that find the same one, none removes the socket that another of them has made since: it is moved aside, looked at
 * again, and put back if it is a new one.
 * @throws the error of the system, such as EACCES
 */
export async function removeLeftSocket(path: string): Promise<boolean> {
  const found = markOf(path);
  if (found === undefined) return true;
  if (found === NO_SOCKET || (await hasListener(path))) return false;
  const aside = `${path}.left-${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    // Another process was faster.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
  const isSame = markOf(aside) === found;
  // Where there is yet another one by now, this one is lost, and its process is not reached.
  if (!isSame) attempt(() => linkSync(aside, path), undefined);
  rmSync(aside, { force: true });
  return isSame;
}

const NO_SOCKET = '';

/** Tells a socket from one that is made later at the same path, of which the number of the inode may be used again; undefined: there is nothing. */
function markOf(path: string): string | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false, bigint: true });
  if (stat === undefined) return undefined;
  return stat.isSocket() ? `${stat.dev}:${stat.ino}:${stat.mtimeNs}` : NO_SOCKET;
}

/** Whether a process listens; also where that is not known, as without the right to connect. */
function hasListener(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'),
    );
  });
}
