import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/** What the guard reads of a request. */
export type GuardedRequest = Pick<IncomingMessage, 'headers' | 'rawHeaders' | 'method'>;

/**
 * Refuses requests that a web page makes through its visitor's browser. The admin server listens on
 * loopback and has no passwords, but a hostile name can resolve to 127.0.0.1 (the Host header then
 * has that name), and any page may post a form to an address, or name one in an image (Origin or
 * Sec-Fetch-Site then show it). No answer of a GET can be read so, as CORS allows nothing; but `/tap` has few
 * places, which images of any page would take, and `/metrics` costs time. A link may lead here: its
 * visitor sees the answer in a window of its own. Pages of another port of this machine are elsewhere too.
 *
 * @returns why the request is refused, in one sentence; undefined when it may pass.
 */
export function refusal(request: GuardedRequest): string | undefined {
  const { headers, method = 'GET' } = request;
  const host = headers.host;
  if (countHosts(request) > 1) return 'one Host header is expected, and not several';
  if (host !== undefined && !isLiteralHost(host)) return 'the Host header must be an IP address or localhost';
  const site = headers['sec-fetch-site'];
  const isElsewhere = site !== undefined && site !== 'same-origin' && site !== 'none';
  if (isElsewhere && !isFollowedLink(headers, method)) return 'cross-site requests are refused';
  const origin = headers.origin;
  if (origin !== undefined && origin !== `http://${host}`) return 'cross-origin requests are refused';
  return undefined;
}

/** A whole window goes there (Fetch Metadata, W3C: mode and destination), not an image, a frame or a script. */
function isFollowedLink(headers: IncomingHttpHeaders, method: string): boolean {
  const isRead = method === 'GET' || method === 'HEAD';
  return isRead && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
}

/** Node keeps the first of several in `headers`; what stands between may have read another one (RFC 9112 section 3.2). */
function countHosts({ rawHeaders }: GuardedRequest): number {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]!.toLowerCase() === 'host') count++;
  return count;
}

/** The whole of a Host header (RFC 3986 section 3.2.2): an IPv6 address in brackets, or a name, and perhaps a port. */
const HOST = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::\d{1,5})?$/;

function isLiteralHost(host: string): boolean {
  const [, inBrackets, plain = ''] = HOST.exec(host) ?? [];
  if (inBrackets !== undefined) return isIP(inBrackets) === 6;
  return plain.toLowerCase() === 'localhost' || isIP(plain) === 4;
}
