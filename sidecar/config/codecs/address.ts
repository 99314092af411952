/**
 * Addresses: "127.0.0.1:8800", "localhost:8800", "[::1]:8800" or "unix:/path/to.sock".
 *
 * A host is always said, because ":8800" means every interface to some readers and loopback to others, and that is
 * the difference between private and public.
 */
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { isOfHome, NO_HOME } from './home.js';
import { invalid, ok, type Parsed, quoted } from './parse-result.js';

/** Where to listen or to connect. */
export type Address =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** `owner`: only of a local model; user whose socket it may be, beside this one and root. */
  | { readonly kind: 'unix'; readonly path: string; readonly owner?: number };

/** The noun phrase for messages. */
export const ADDRESS_EXPECTED = 'an address such as "127.0.0.1:8800", "[::1]:8800" or "unix:/path/to.sock"';
/** For the JSON Schema; `readAddress` is what decides. */
export const ADDRESS_PATTERN = '^(unix:.+|\\[[0-9a-fA-F:.]+\\]:[0-9]{1,5}|[^:/\\s]+:[0-9]{1,5})$';

/** Linux's `sun_path` holds 108 bytes with its closing NUL. */
const MAX_SOCKET_PATH_BYTES = 107;
const HOST = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?$/i;

/** Port 0 is read: whether it makes sense depends on the option. */
export function readAddress(text: string): Parsed<Address> {
  if (text.startsWith('unix:')) return readSocketPath(text);
  const match = /^(?:\[(.*)\]|([^:]*)):(\d+)$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined || host === '') return refuse(text);
  if (match[1] === undefined ? !isHost(host) : !isIPv6(host)) return refuse(text);
  const port = Number(match[3]);
  if (port > 65_535) return invalid(`found ${quoted(text)}; expected a port from 0 to 65535`);
  return ok({ kind: 'tcp', host, port });
}

/** As a file says it: `host:port`, with brackets around IPv6, or `unix:path`. */
export function writeAddress(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return `${isIPv6(address.host) ? `[${address.host}]` : address.host}:${address.port}`;
}

/** True when only this machine can reach it. Names other than `localhost` are not resolved and count as not. */
export function isLocalAddress(address: Address): boolean {
  if (address.kind === 'unix') return true;
  return isLoopbackHost(address.host);
}

function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** True when a call to `target` would arrive at `listener` on this machine. */
export function wouldReach(target: Address, listener: Address): boolean {
  if (target.kind === 'tcp' && listener.kind === 'tcp' && isEveryInterface(listener.host)) {
    const isHere = isLoopbackHost(target.host) || isEveryInterface(target.host);
    return isHere && target.port === listener.port && target.port !== 0;
  }
  return isSamePlace(target, listener);
}

/** True when two listeners could not both be bound. */
export function isSamePlace(one: Address, other: Address): boolean {
  if (one.kind === 'unix' || other.kind === 'unix')
    return one.kind === 'unix' && other.kind === 'unix' && one.path === other.path;
  if (one.port !== other.port || one.port === 0) return false;
  return isEveryInterface(one.host) || isEveryInterface(other.host) || plainHost(one) === plainHost(other);
}

function isEveryInterface(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

function plainHost(address: { readonly host: string }): string {
  return isLoopbackHost(address.host) ? 'localhost' : address.host.toLowerCase();
}

/** True for what peers on other machines may be told to connect to: a name or an IP, no wildcard. */
export function isReachableHost(host: string): boolean {
  return isHost(host) && !isEveryInterface(host);
}

function isHost(host: string): boolean {
  if (isIP(host) !== 0) return true;
  return HOST.test(host) && !/^[\d.]+$/.test(host);
}

function readSocketPath(text: string): Parsed<Address> {
  const rest = text.slice('unix:'.length);
  const path = rest.startsWith('//') ? rest.slice(2) : rest;
  if (path === '' || path.includes('\0'))
    return invalid(`found ${quoted(text)}; expected the path of a socket after "unix:"`);
  if (isOfHome(path)) return invalid(`found ${quoted(text)}; expected the path of a socket, ${NO_HOME}`);
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES)
    return invalid(
      `found a socket path of ${Buffer.byteLength(path)} bytes; expected at most ${MAX_SOCKET_PATH_BYTES}, as the kernel takes no more`,
    );
  return ok({ kind: 'unix', path });
}

function refuse(text: string): { readonly ok: false; readonly problem: string } {
  return invalid(`found ${quoted(text)}; expected ${ADDRESS_EXPECTED}${hint(text)}`);
}

function hint(text: string): string {
  const bare = /^:?(\d{1,5})$/.exec(text);
  if (bare !== null)
    return `; did you mean "127.0.0.1:${bare[1]}" (this machine only) or "0.0.0.0:${bare[1]}" (every interface)?`;
  const url = /^[a-z0-9+.-]+:\/\/([^/]+)\/?$/i.exec(text);
  if (url !== null) return `; did you mean "${url[1]}"?`;
  const star = /^\*:(\d{1,5})$/.exec(text);
  if (star !== null) return `; did you mean "0.0.0.0:${star[1]}"?`;
  const open = /^([0-9a-f:]+:[0-9a-f:]*):(\d{1,5})$/i.exec(text);
  if (open !== null && isIPv6(open[1] ?? '')) return `; did you mean "[${open[1]}]:${open[2]}"?`;
  if (text.startsWith('/')) return `; did you mean "unix:${text}"?`;
  if (isIP(text) !== 0 || HOST.test(text)) return '; the port is missing';
  return '';
}

/** An address as a metric label and in messages: `host:port`, `[host]:port` for IPv6, or `unix:PATH`. */
export function labelOf(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
