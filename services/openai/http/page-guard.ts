/** Refuses requests that a web page makes through its visitor's browser. Where callers have keys, no page knows one. */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

const HOST = /^(\[[0-9a-f:.]+\]|[^:[\]@/\s]+)(?::\d{1,5})?$/i;

/**
 * Why a request is refused, in one sentence; undefined where it may pass. A hostile name can resolve to this machine, and the browser then takes
 * the pages of that name for the service's own (DNS rebinding): the Host header has the name.
 *
 * @param names hosts that the service is known by, beside IP addresses and localhost; in lower case
 */
export function pageRefusal(request: IncomingMessage, names: ReadonlySet<string>): string | undefined {
  const hosts = request.headersDistinct['host'] ?? [];
  // HTTP/1.0 has none, and browsers do not speak it.
  if (hosts.length > 1) return 'Found more than one Host header; expected one.';
  const [host] = hosts;
  if (host !== undefined && !isKnown(host, names))
    return `Found Host '${host.slice(0, 100)}'; expected an IP address, localhost, or a name given by --host. With --keys any name may be used.`;
  const { origin, 'sec-fetch-site': site } = request.headers;
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    return 'Cross-site requests are refused.';
  // Where TLS ends in front of this service, the page of its own name has https.
  if (origin !== undefined && origin.replace(/^https?:\/\//, '') !== host)
    return 'Cross-origin requests are refused.';
  return undefined;
}

function isKnown(host: string, names: ReadonlySet<string>): boolean {
  const name = HOST.exec(host)?.[1]?.toLowerCase();
  if (name === undefined) return false;
  const address = name.startsWith('[') ? name.slice(1, -1) : name;
  return isIP(address) !== 0 || name === 'localhost' || names.has(name);
}
