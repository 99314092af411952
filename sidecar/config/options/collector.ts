/** What every block about a collector says: where it is, and what requests to it carry. */
import * as z from 'zod';
import { COLLECTOR_EXPECTED, COLLECTOR_PATTERN, readCollectorUrl } from '../codecs/collector-url.js';
import { type FoundBlock, text } from './found.js';
import { option, type Report, rules, value } from './option.js';
import { checkedText, choice, matching, plainText } from './values.js';

const HEADER_ERROR = 'the name of a header: lower-case letters, digits, "-" and "_"';
const ATTRIBUTE_ERROR = 'the name of an attribute: letters, digits, ".", "-" and "_", at most 128';
/** What requests have anyway. */
const OWN_HEADERS: ReadonlySet<string> = new Set(
  'host connection content-type content-length content-encoding te transfer-encoding upgrade keep-alive'.split(
    ' ',
  ),
);
const OWN_ATTRIBUTES: ReadonlySet<string> = new Set(['service.name', 'service.instance.id']);
const MAX_ATTRIBUTES = 32;

const headers = z.record(
  matching('text', /^[a-z0-9_-]{1,128}$/, HEADER_ERROR),
  matching(
    'text',
    /^[\x20-\x7e]{0,4096}$/,
    'the value of a header: printable ASCII, at most 4096 characters',
  ),
  { error: 'a map of headers' },
);

const attributes = z.record(
  matching('text', /^[A-Za-z0-9._-]{1,128}$/, ATTRIBUTE_ERROR),
  plainText('the value of an attribute').max(256, { error: 'at most 256 characters' }),
  { error: 'a map of attributes and texts' },
);

/** What goes to the collector, for the text of options. */
export interface CollectorUse {
  /** Where an endpoint without a path leads to. */
  readonly path: string;
  /** Why the endpoint is required. */
  readonly why: string;
}

/** The first options of such a block. */
export const collectorOptions = ({ path, why }: CollectorUse) => ({
  endpoint: option(
    value(checkedText(COLLECTOR_EXPECTED, COLLECTOR_PATTERN, readCollectorUrl), { type: 'URL' }),
    {
      meaning: `The collector: \`http://host:port\` or \`https://host:port\`, with \`http/protobuf\` also with a path; without one it is \`${path}\`.`,
      why,
    },
  ),
  protocol: option(choice(['http/protobuf', 'grpc']).prefault('http/protobuf'), {
    meaning: 'How OTLP is sent: over HTTP/1.1, usually at port 4318, or as gRPC, usually at port 4317.',
    why: "OpenTelemetry's own default.",
  }),
  headers: option(headers.prefault({}).check(rules(refuseOwnHeaders)), {
    meaning:
      'Headers of each request to the collector, such as `authorization`. `/config` does not show their values.',
    why: 'A collector on the own machine asks for none.',
  }),
});

/** The attributes of the resource. */
export const resourceAttributes = () =>
  option(attributes.prefault({}).check(rules(refuseOwnAttributes)), {
    meaning:
      'Attributes of the resource, beside `service.name`, `service.instance.id` and `host.name`: for example `deployment.environment.name: production`.',
    why: 'The service and the instance tell most meshes apart.',
  });

/** Two of one name would leave it to the collector which counts. */
function refuseOwnHeaders(found: FoundBlock, report: Report): void {
  for (const name of Object.keys(found))
    if (OWN_HEADERS.has(name) || name.startsWith('grpc-'))
      report([name], 'found a header that the sidecar sets itself; expected another one');
}

/** What tells sidecars apart is not for the file. */
function refuseOwnAttributes(found: FoundBlock, report: Report): void {
  const names = Object.keys(found);
  if (names.length > MAX_ATTRIBUTES)
    report([], `found ${names.length} attributes; expected at most ${MAX_ATTRIBUTES}`);
  for (const name of names)
    if (OWN_ATTRIBUTES.has(name))
      report([name], 'found an attribute that follows from service and instance; expected another one');
}

/** A rule of the block. */
export function refusePathOfGrpc(found: FoundBlock, report: Report): void {
  const endpoint = text(found['endpoint']);
  if (found['protocol'] !== 'grpc' || endpoint === undefined) return;
  const origin = /^https?:\/\/[^/]+/.exec(endpoint)?.[0];
  if (origin !== undefined && origin.length < endpoint.length)
    report(['endpoint'], `found a path; expected ${JSON.stringify(origin)}, as gRPC has a path of its own`);
}
