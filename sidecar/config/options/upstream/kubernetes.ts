/** The Service of Kubernetes whose endpoints are those of an upstream. */

import { isIP } from 'node:net';
import * as z from 'zod';
import { readAddress, writeAddress } from '../../codecs/address.js';
import { invalid, ok, type Parsed, quoted } from '../../codecs/parse-result.js';
import { type FoundBlock, text } from '../found.js';
import { block, option, type Report, rules, value } from '../option.js';
import { checkedText, choice, filePath, matching, wholeNumber } from '../values.js';

const SERVICE_EXPECTED =
  'the name of a Service with its namespace, such as "digits.models", or without it for that of the pod';
/** RFC 1035 labels, as the names of Services and namespaces are. */
const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
const SERVICE_PATTERN = `^${LABEL}(\\.${LABEL})?$`;
const PORT_EXPECTED = 'the name of a port of the Service, such as "peers", or a number from 1 to 65535';
/** An IANA service name (RFC 6335, 5.1), as Kubernetes takes for ports: with a letter, so that a number in quotes is none. */
const PORT_NAME = /^(?=[a-z0-9-]*[a-z])[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const SERVER_EXPECTED = 'the address of the API server, such as "https://10.96.0.1:443"';
const SERVER_PATTERN = '^https?://[^/@?#\\s]+:[0-9]{1,5}/?$';

/** `kubernetes` of an upstream. */
export const kubernetes = block({
  service: option(matching('text', new RegExp(SERVICE_PATTERN), SERVICE_EXPECTED), {
    meaning:
      'The Service, as NAME or NAME.NAMESPACE. Its ready pods are the endpoints, by the EndpointSlices of the Kubernetes API, which are watched.',
    why: 'Without it there is nothing to watch.',
  }),
  port: option(
    z
      .union([wholeNumber({ min: 1, max: 65_535 }), matching('text', PORT_NAME, PORT_EXPECTED)], {
        error: PORT_EXPECTED,
      })
      .optional(),
    {
      meaning:
        "Where the peers' sidecars listen: the name of a port of the Service, or a number, which is the port of every pod.",
      otherwise: 'absent: the only TCP port of the Service',
      why: 'Most Services for sidecars have one port.',
    },
  ),
  family: option(choice(['any', 'ipv4', 'ipv6']).prefault('any'), {
    meaning: 'Which addresses count. `any`: one of each pod, the IPv4 address where it has both.',
    why: 'A pod with two addresses is one endpoint.',
  }),
  server: option(
    value(checkedText(SERVER_EXPECTED, SERVER_PATTERN, readServer), { type: 'URL' }).optional(),
    {
      meaning:
        'The API server. `http://` is for a proxy on this machine, such as `kubectl proxy`; it gets no token.',
      otherwise: 'absent: `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`, which every pod has',
      why: 'The cluster says where its API is.',
    },
  ),
  token_file: option(filePath('a file that holds a token').optional(), {
    meaning: 'The token of a service account. It is read again for each request, as Kubernetes replaces it.',
    otherwise: 'absent: `/var/run/secrets/kubernetes.io/serviceaccount/token`',
    why: 'Where Kubernetes puts it.',
  }),
  ca_file: option(filePath('the certificates of an authority').optional(), {
    meaning: "PEM file with the roots that the API server's certificate is verified against.",
    otherwise: 'absent: `/var/run/secrets/kubernetes.io/serviceaccount/ca.crt`',
    why: 'Where Kubernetes puts it.',
  }),
}).check(rules(refuseUnusedFiles));

/** Over http nothing is verified, and no token is sent. */
function refuseUnusedFiles(found: FoundBlock, report: Report): void {
  if (text(found['server'])?.startsWith('http:') !== true) return;
  for (const key of ['token_file', 'ca_file'])
    if (found[key] !== undefined)
      report([key], 'found beside an http server, which is a proxy with a token of its own; expected https');
}

/** A token in plaintext would be anybody's: `http` is taken on loopback only. */
function readServer(text: string): Parsed<string> {
  if (/^[a-z]+:\/\/[^/]*@/i.test(text))
    return invalid(
      'found a user in the address; expected the address alone; a token belongs into token_file',
    );
  const match = /^(https?):\/\/([^/?#]+)\/?$/.exec(text);
  const place = match === null ? undefined : readAddress(match[2] ?? '');
  if (match === null || place?.ok !== true || place.value.kind !== 'tcp' || place.value.port === 0)
    return invalid(`found ${quoted(text)}; expected ${SERVER_EXPECTED}`);
  if (match[1] === 'http' && !isLoopback(place.value.host))
    return invalid(`found ${quoted(text)}; expected https, as http is for a proxy on this machine`);
  return ok(`${match[1]}://${writeAddress(place.value)}`);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
