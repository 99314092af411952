import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { attempt } from '../attempt.js';

const LISTEN = '0A';
const MAX_PROCESSES = 20_000;
const MAX_COMMAND_CHARS = 160;

/** A socket that listens. */
interface Listener {
  readonly inode: string;
  /** Id of the user that it belongs to. */
  readonly user: string;
}

/**
 * The process that listens on a TCP port, such as `process 4711 (consul agent -dev)`, for the
 * message that a port is in use. Of a process that this user may not inspect only its user is known:
 * `a process of user consul`. Linux only; else undefined. At most 20,000 processes are read.
 */
export function portOwner(port: number): string | undefined {
  const listeners = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listenersIn(read(table), port));
  const [first] = listeners;
  if (first === undefined) return undefined;
  const sockets = new Set(listeners.map(({ inode }) => `socket:[${inode}]`));
  for (const pid of list('/proc').filter(isNumber).slice(0, MAX_PROCESSES))
    if (holds(pid, sockets)) return `process ${pid} (${commandOf(pid)})`;
  return `a process of user ${userName(first.user, read('/etc/passwd'))}`;
}

/** The name of a user in the text of `/etc/passwd`; its id where it has none there. */
export function userName(id: string, passwd: string): string {
  const named = passwd.split('\n').find((line) => line.split(':')[2] === id);
  return named?.split(':')[0] || id;
}

/** Sockets that listen on `port`, from `/proc/net/tcp` (proc(5)). */
export function listenersIn(table: string, port: number): Listener[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , user = '', , inode = '0'] = line.trim().split(/\s+/);
    return state === LISTEN && local.endsWith(wanted) && inode !== '0' ? [{ inode, user }] : [];
  });
}

function holds(pid: string, sockets: ReadonlySet<string>): boolean {
  const folder = `/proc/${pid}/fd`;
  return list(folder).some((fd) => sockets.has(attempt(() => readlinkSync(`${folder}/${fd}`), '')));
}

/** The command line, at most 160 characters, on one line. */
function commandOf(pid: string): string {
  const words = read(`/proc/${pid}/cmdline`).split('\0').filter(Boolean).join(' ');
  const text = words || read(`/proc/${pid}/comm`).trim();
  const line = text.replaceAll(/[^\x20-\x7e]/g, '?');
  return line.length > MAX_COMMAND_CHARS ? `${line.slice(0, MAX_COMMAND_CHARS)}…` : line;
}

function isNumber(name: string): boolean {
  return /^\d+$/.test(name);
}

function read(path: string): string {
  return attempt(() => readFileSync(path, 'utf8'), '');
}

function list(path: string): string[] {
  return attempt(() => readdirSync(path), []);
}
