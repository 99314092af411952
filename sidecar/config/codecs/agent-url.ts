/**
 * Where Consul's HTTP API is: "http://127.0.0.1:8500", "https://consul.internal:8501" or "unix:///run/consul.sock".
 *
 * Scheme and port are always said: one tells whether the token travels in the clear, the other has no common
 * default. Inside the sidecar it is text of one of these forms, without a slash at its end.
 */
import { type Address, readAddress, writeAddress } from './address.js';
import { invalid, ok, type Parsed, quoted } from './parse-result.js';

/** The noun phrase for messages. */
export const AGENT_URL_EXPECTED =
  'the address of a Consul agent, such as "http://127.0.0.1:8500", "https://consul.internal:8501" or "unix:///run/consul.sock"';
/** For the JSON Schema; `readAgentUrl` is what decides. */
export const AGENT_URL_PATTERN = '^(https?://[^/@?#\\s]+:[0-9]{1,5}/?|unix:.+)$';

/** The path of a socket may still be relative. */
export function readAgentUrl(text: string): Parsed<string> {
  if (/^[a-z]+:\/\/[^/]*@/i.test(text)) {
    // Not shown: it is a password.
    return invalid(
      'found a user in the address; expected the address alone; a token belongs into token_file',
    );
  }
  if (text.startsWith('unix:')) {
    const socket = readAddress(text);
    return socket.ok && socket.value.kind === 'unix' ? ok(`unix://${socket.value.path}`) : forward(socket);
  }
  const match = /^(https?):\/\/([^/?#]+)\/?$/.exec(text);
  const place = match === null ? undefined : readAddress(match[2] ?? '');
  if (match === null || place === undefined || !place.ok || place.value.kind !== 'tcp') return refuse(text);
  if (place.value.port === 0) return refuse(text);
  return ok(`${match[1]}://${writeAddress(place.value)}`);
}

/** Where a call to such an address arrives; nothing for other text. */
export function agentPlace(url: string): Address | undefined {
  const place = url.startsWith('unix:') ? readAddress(url) : readAddress(url.replace(/^https?:\/\//, ''));
  return place.ok ? place.value : undefined;
}

function forward(found: Parsed<unknown>): Parsed<string> {
  return found.ok ? invalid(`expected ${AGENT_URL_EXPECTED}`) : found;
}

function refuse(text: string): Parsed<string> {
  return invalid(`found ${quoted(text)}; expected ${AGENT_URL_EXPECTED}${hint(text)}`);
}

function hint(text: string): string {
  const bare = readAddress(text);
  if (bare.ok && bare.value.kind === 'tcp' && bare.value.port !== 0)
    return `; did you mean "http://${text}"?`;
  const portless = /^(https?):\/\/([^/:?#]+|\[[^\]]*\])\/?$/i.exec(text);
  if (portless !== null) {
    const scheme = (portless[1] ?? '').toLowerCase();
    return `; the port is missing; did you mean "${scheme}://${portless[2]}:${scheme === 'https' ? 8501 : 8500}"?`;
  }
  const deeper = /^(https?:\/\/[^/?#]+:\d{1,5})[/?#]/i.exec(text);
  if (deeper !== null) return `; did you mean "${deeper[1]?.toLowerCase()}"?`;
  if (text.startsWith('/')) return `; did you mean "unix://${text}"?`;
  return '';
}
