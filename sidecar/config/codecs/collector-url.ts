/**
 * Where a collector of traces or metrics is: "http://127.0.0.1:4318", "https://otel.internal:4318/v1/traces". Scheme and port are
 * always said: OTLP has one port for each of its protocols, and the other one answers too.
 */
import { readAddress, writeAddress } from './address.js';
import { invalid, ok, type Parsed, quoted } from './parse-result.js';

/** The noun phrase for messages. */
export const COLLECTOR_EXPECTED =
  'the address of a collector, such as "http://127.0.0.1:4318" or "https://otel.internal:4318/v1/traces"';
/** For the JSON Schema; `readCollectorUrl` is what decides. */
export const COLLECTOR_PATTERN = '^https?://[^/@?#\\s]+:[0-9]{1,5}(/[^?#\\s]*)?$';

/** Without a slash at its end. */
export function readCollectorUrl(text: string): Parsed<string> {
  // Not shown: it is a password.
  if (/^[a-z]+:\/\/[^/]*@/i.test(text))
    return invalid(
      'found a user in the address; expected the address alone; credentials belong into headers',
    );
  const match = /^(https?):\/\/([^/?#\s]+)(\/[^?#\s]*)?$/.exec(text);
  const place = match === null ? undefined : readAddress(match[2]!);
  if (
    match === null ||
    place === undefined ||
    !place.ok ||
    place.value.kind !== 'tcp' ||
    place.value.port === 0
  )
    return invalid(`found ${quoted(text)}; expected ${COLLECTOR_EXPECTED}${hint(text)}`);
  return ok(`${match[1]}://${writeAddress(place.value)}${(match[3] ?? '').replace(/\/+$/, '')}`);
}

function hint(text: string): string {
  const bare = readAddress(text);
  if (bare.ok && bare.value.kind === 'tcp' && bare.value.port !== 0)
    return `; did you mean "http://${text}"?`;
  const portless = /^(https?):\/\/([^/:?#\s]+|\[[^\]]*\])\/?$/.exec(text);
  return portless === null
    ? ''
    : `; the port is missing; did you mean "${portless[1]}://${portless[2]}:4318"?`;
}
