import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { attempt } from '../attempt.js';

/** In the place of a user id: anybody's socket is connected to. */
export const ANY_OWNER = -1;

/** Owner and permissions of a file, as `stat` says them. */
export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/** Who asks. */
export interface Asker {
  readonly uid: number;
  /** All groups of the process. */
  readonly gids: readonly number[];
}

const OTHERS_WRITE = 0o002;
const GROUP_WRITES = 0o020;
const STICKY = 0o1000;

/**
 * Why the socket at `path` may be another user's, who would get every request and could answer it; undefined: it is not, or there is
 * none yet. Both have to belong to this user, to root or to the user `owner`, the directory because who owns it can replace the socket. For the
 * same reason nobody else may write into it, unless it is sticky, as /tmp is. (sshd checks its files so, and tmux the directory of its
 * socket.) Symbolic links are followed: what they lead to counts.
 *
 * @param option that says who `owner` is, for the message.
 */
export function socketProblem(path: string, owner?: number, option = 'local_owner'): string | undefined {
  if (owner === ANY_OWNER) return undefined;
  const why = askOf(path, (directory, socket, asker) => whyNotTrusted(directory, socket, asker, owner));
  return why === undefined
    ? undefined
    : `${path} is not connected to: ${why}. Use a private directory, or say in ${option} whose socket it is`;
}

/**
 * The same for the socket of an admin server, which gets the admin token and says how a sidecar fares. Operators look after sidecars
 * of other users: the socket of a user in that user's own directory is connected to as well, as in /run/outrider.
 */
export function adminSocketProblem(path: string): string | undefined {
  const why = askOf(path, whyAdminNotTrusted);
  return why === undefined ? undefined : `${path} is not connected to: ${why}. Use a private directory`;
}

type Rule = (directory: FileOwner, socket: FileOwner, asker: Asker) => string | undefined;

function askOf(path: string, rule: Rule): string | undefined {
  const uid = process.geteuid?.();
  if (uid === undefined) return undefined;
  const directory = dirname(path);
  const [ofDirectory, ofSocket] = [directory, path].map((each) => attempt(() => statSync(each), undefined));
  if (ofDirectory === undefined || ofSocket === undefined) return undefined;
  return rule(ofDirectory, ofSocket, { uid, gids: [process.getegid!(), ...process.getgroups!()] });
}

/** The rule of `adminSocketProblem`. */
export function whyAdminNotTrusted(
  directory: FileOwner,
  socket: FileOwner,
  asker: Asker,
): string | undefined {
  return whyNotTrusted(directory, socket, asker, directory.uid);
}

/** The rule of `socketProblem`. */
export function whyNotTrusted(
  directory: FileOwner,
  socket: FileOwner,
  { uid, gids }: Asker,
  owner?: number,
): string | undefined {
  const isTrusted = (each: FileOwner): boolean => [0, uid, owner].includes(each.uid);
  const expected = `, not to ${uid === 0 ? 'root' : `user ${uid} or root`}`;
  if (!isTrusted(socket)) return `the socket belongs to user ${socket.uid}${expected}`;
  if (!isTrusted(directory)) return `its directory belongs to user ${directory.uid}${expected}`;
  if ((directory.mode & STICKY) !== 0) return undefined;
  if ((directory.mode & OTHERS_WRITE) !== 0) return 'every user can write into its directory';
  if ((directory.mode & GROUP_WRITES) !== 0 && !gids.includes(directory.gid))
    return `group ${directory.gid}, which this process is not in, can write into its directory`;
  return undefined;
}
