/**
 * Header lists for the fuzzer, and what RFC 9113 sections 8.1 to 8.3 say of any list. Written anew from the RFC, so
 * that it can contradict the engine.
 */
import type { Field } from '../hpack-lite.js';

const CONNECTION_NAMES = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'];
const REQUEST_PSEUDO = [':method', ':scheme', ':path', ':authority'];

/** Whether every field by itself may stand in a list, and pseudo-headers come first and once each. */
function isWellFormed(fields: readonly Field[], pseudo: readonly string[]): boolean {
  const seen = new Set<string>();
  let regular = false;
  let length: string | null = null;
  for (const [name, received] of fields) {
    // gRPC over HTTP/2 lets a receiver strip whitespace around the values of metadata.
    const value = name.startsWith(':') ? received : received.replace(/^[ \t]+|[ \t]+$/g, '');
    if (/[\0\r\n]/.test(value) || /^[ \t]|[ \t]$/.test(value)) return false;
    if (name.startsWith(':')) {
      if (regular || !pseudo.includes(name) || seen.has(name)) return false;
      seen.add(name);
      continue;
    }
    regular = true;
    if (!/^[a-z0-9!#$%&'*+\-.^_`|~]+$/.test(name)) return false;
    if (CONNECTION_NAMES.includes(name)) return false;
    if (name === 'te' && value !== 'trailers') return false;
    if (name !== 'content-length') continue;
    if (!/^[0-9]{1,15}$/.test(value) || (length !== null && length !== value)) return false;
    length = value;
  }
  return true;
}

const fieldValue = (fields: readonly Field[], name: string): string | undefined =>
  fields.find(([each]) => each === name)?.[1];

export function isRequest(fields: readonly Field[]): boolean {
  if (!isWellFormed(fields, REQUEST_PSEUDO)) return false;
  const [method, scheme, path, authority] = REQUEST_PSEUDO.map((name) => fieldValue(fields, name));
  if (method === 'CONNECT') return scheme === undefined && path === undefined && !!authority;
  return !!method && !!scheme && !!path;
}

/** The status of a well-formed response, else 0. */
export function statusOf(fields: readonly Field[]): number {
  if (!isWellFormed(fields, [':status'])) return 0;
  const status = fieldValue(fields, ':status') ?? '';
  return /^[1-9][0-9]{2}$/.test(status) ? Number(status) : 0;
}

export function isTrailers(fields: readonly Field[]): boolean {
  return isWellFormed(fields, []);
}

export function contentLength(fields: readonly Field[]): number {
  const value = fieldValue(fields, 'content-length');
  return value === undefined ? -1 : Number(value.trim());
}

/** RFC 9113 section 10.5.1. */
export function listBytes(fields: readonly Field[]): number {
  return fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
}

/** What an endpoint may keep of a list that is over its limits: what comes before the field that is too much, and the status of a call. */
export function keptOf(fields: readonly Field[], maxBytes: number, maxFields: number): readonly Field[] {
  let bytes = 0;
  return fields.filter(([name, value], at) => {
    bytes += listBytes([[name, value]]);
    return (bytes <= maxBytes && at < maxFields) || (name === 'grpc-status' && value.length < 20);
  });
}

const lists = (...of: readonly Readonly<Record<string, string>>[]): readonly (readonly Field[])[] =>
  of.map((list) => Object.entries(list));

const HTTP = { ':method': 'POST', ':scheme': 'http', ':path': '/a.B/C', ':authority': 'x' };
export const REQUESTS = lists(
  { ...HTTP, te: 'trailers', 'content-type': 'application/grpc' },
  { ':method': 'GET', ':path': '/', ':scheme': 'https', 'user-agent': 'fuzz', cookie: 'a=b' },
  { ':method': 'CONNECT', ':authority': 'x:1' },
  { ':authority': '', ':path': '*', ':method': 'OPTIONS', ':scheme': 'x', 'x-empty': '' },
);

export const RESPONSES = lists(
  { ':status': '200', 'content-type': 'application/grpc' },
  { ':status': '404' },
  { ':status': '200', 'grpc-encoding': 'identity', 'x-long': 'v'.repeat(200) },
);

export const TRAILER_LISTS = lists(
  { 'grpc-status': '0' },
  { 'grpc-status': '14', 'grpc-message': 'no%20way', 'x-bin': 'AAEC' },
  {},
);

/** Additions that make a list malformed. */
export const BAD_FIELDS: readonly Field[] = [
  ['X-Upper', 'v'],
  ['', 'v'],
  ['a b', 'v'],
  ['connection', 'close'],
  ['te', 'gzip'],
  ['x', 'a\nb'],
  [':path', '/a.B/C '],
  [':path', '/late'],
  [':odd', 'v'],
  [':status', '200'],
  ['content-length', 'many'],
  ['content-length', '7'],
  [':authority', ''],
];

export const EXTRA_FIELDS: readonly Field[] = [
  ['grpc-timeout', '99m'],
  ['traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
  ['x-request-id', '4711'],
  ['x-a', '1'],
  ['x-a', '2'],
  ['x-b', 'word '.repeat(30).trim()],
  ['authorization', 'Bearer t'],
];
