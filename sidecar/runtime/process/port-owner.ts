import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { attempt } from '../attempt.js';

const LISTEN = '0A';
/** `__SO_ACCEPTCON`, among the flags of a Unix socket. */
const ACCEPTS = 0x10000;
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
  const pid = processWith(listeners.map(({ inode }) => inode));
  return pid === undefined
    ? `a process of user ${userName(first.user, read('/etc/passwd'))}`
    : processText(pid);
}

/** Who listens on a Unix socket. */
export interface SocketOwner {
  /** Undefined: this user may not inspect it. */
  readonly pid: number | undefined;
  /** For messages: such as `process 4711 (python server.py)`. */
  readonly text: string;
}

/**
 * The process that listens on the Unix socket with this path, as it was bound there, in the same network namespace. Undefined: none does,
 * or that is not known, as on a system without /proc.
 */
export function socketOwner(path: string): SocketOwner | undefined {
  const inodes = unixListenersIn(read('/proc/net/unix'), path);
  if (inodes.length === 0) return undefined;
  const pid = processWith(inodes);
  return pid === undefined
    ? { pid, text: 'a process of another user' }
    : { pid: Number(pid), text: processText(pid) };
}

/** The inodes of the sockets that listen at `path`, from `/proc/net/unix` (proc(5)). */
export function unixListenersIn(table: string, path: string): string[] {
  return table.split('\n').flatMap((line) => {
    const [, , , flags = '', , , inode = '0'] = line.trim().split(/\s+/);
    if ((Number.parseInt(flags, 16) & ACCEPTS) === 0 || !line.endsWith(` ${path}`)) return [];
    return [inode];
  });
}

/** The first process that has one of these sockets; undefined: none that may be inspected. */
function processWith(inodes: readonly string[]): string | undefined {
  const sockets = new Set(inodes.map((inode) => `socket:[${inode}]`));
  return list('/proc')
    .filter(isNumber)
    .slice(0, MAX_PROCESSES)
    .find((pid) => holds(pid, sockets));
}

function processText(pid: string): string {
  return `process ${pid} (${commandOf(pid)})`;
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
