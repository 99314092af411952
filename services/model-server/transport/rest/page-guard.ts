/** Refuses requests that a web page makes through its visitor's browser. */

import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

const HOST = /^(\[[0-9a-f:.]+\]|[^:[\]@/\s]+)(?::\d{1,5})?$/i;

/**
 * Why a request is refused, in one sentence; undefined where it may pass. A hostile name can resolve to the address of this
 * server, whose pages the browser then takes for the server's own (DNS rebinding): the Host header has that name. Any page may
 * post to an address without asking for leave: Origin, or Sec-Fetch-Site, then shows it. An inference and a load or unload
 * need no more than such a post.
 *
 * @param names hosts that the server is known by, beside IP addresses and localhost; in lower case
 */
export function pageRefusal(request: IncomingMessage, names: ReadonlySet<string>): string | undefined {
  const hosts = request.headersDistinct['host'] ?? [];
  // HTTP/1.0 has none, and browsers do not speak it.
  if (hosts.length > 1) return 'found more than one Host header, expected one';
  const [host] = hosts;
  if (host !== undefined && !isKnown(host, names))
    return `found Host '${host.slice(0, 100)}', expected an IP address, localhost, or a name given by --rest-host`;
  const { origin, 'sec-fetch-site': site } = request.headers;
  if (site !== undefined && site !== 'same-origin' && site !== 'none' && !isFollowedLink(request))
    return 'cross-site requests are refused';
  // Where TLS ends in front of this server, the page of its own name has https.
  if (origin !== undefined && origin.replace(/^https?:\/\//, '') !== host)
    return 'cross-origin requests are refused';
  return undefined;
}

function isKnown(host: string, names: ReadonlySet<string>): boolean {
  const name = HOST.exec(host)?.[1]?.toLowerCase();
  if (name === undefined) return false;
  const address = name.startsWith('[') ? name.slice(1, -1) : name;
  return isIP(address) !== 0 || name === 'localhost' || names.has(name);
}

/** A window goes there, not an image, a frame or a script: its visitor sees the answer, and no page does. */
function isFollowedLink({ method, headers }: IncomingMessage): boolean {
  const isRead = method === 'GET' || method === 'HEAD';
  return isRead && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
}
