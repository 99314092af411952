import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/**
 * Refuses requests that a web page makes through its visitor's browser. The admin server listens on
 * loopback and has no passwords, but a hostile name can resolve to 127.0.0.1 (the Host header then
 * has that name), and any page may post a form to an address (Origin or Sec-Fetch-Site then show
 * it). CORS allows nothing.
 *
 * @returns why the request is refused, in one sentence; undefined when it may pass.
 */
export function refusal(headers: IncomingHttpHeaders, method: string): string | undefined {
  const host = headers.host;
  if (host !== undefined && !isLiteralHost(host)) return 'the Host header must be an IP address or localhost';
  if (method === 'GET' || method === 'HEAD') return undefined;
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    return 'cross-site requests are refused';
  const origin = headers.origin;
  if (origin !== undefined && origin !== `http://${host}`) return 'cross-origin requests are refused';
  return undefined;
}

function isLiteralHost(host: string): boolean {
  const name = host.startsWith('[') ? host.slice(1, host.indexOf(']')) : host.replace(/:\d*$/, '');
  return name.toLowerCase() === 'localhost' || isIP(name) !== 0;
}
