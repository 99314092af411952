import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

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
export function refusal(headers: IncomingHttpHeaders, method: string): string | undefined {
  const host = headers.host;
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

function isLiteralHost(host: string): boolean {
  const name = host.startsWith('[') ? host.slice(1, host.indexOf(']')) : host.replace(/:\d*$/, '');
  return name.toLowerCase() === 'localhost' || isIP(name) !== 0;
}
