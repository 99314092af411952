/** Where spans of calls go, and of which calls. */
import * as z from 'zod';
import { COLLECTOR_EXPECTED, COLLECTOR_PATTERN, readCollectorUrl } from '../codecs/collector-url.js';
import { type FoundBlock, text } from './found.js';
import { block, option, type Report, rules, value } from './option.js';
import { checkedText, choice, matching, plainText, ratio, wholeNumberOrNone } from './values.js';

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

const tracesBlock = () =>
  block({
    endpoint: option(
      value(checkedText(COLLECTOR_EXPECTED, COLLECTOR_PATTERN, readCollectorUrl), { type: 'URL' }),
      {
        meaning:
          'The collector: `http://host:port` or `https://host:port`, with `http/protobuf` also with a path; without one it is `/v1/traces`.',
        why: 'Traces without a collector would go nowhere.',
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
    sample: option(ratio().prefault(0.01), {
      meaning:
        'Share of the calls without a `traceparent` that begin a trace. The sidecars behind follow the first one.',
      why: 'One in a hundred shows how calls go, and costs next to nothing.',
    }),
    parent: option(choice(['follow', 'ignore']).prefault('follow'), {
      meaning:
        'What is done with a valid `traceparent`. `follow`: the call is exported if its flag says sampled. `ignore`: `sample` decides, for callers that flag every call; the call stays in its trace.',
      why: 'A trace is whole only where all that take part in it agree.',
    }),
    errors_per_second: option(wholeNumberOrNone({ min: 1, max: 10_000 }).prefault(100), {
      meaning:
        'Calls beyond the sample that are exported because they failed, were retried or degraded, each second at most. More are counted (`outrider_spans_dropped_total`, `error-limit`).',
      why: 'When everything fails, spans of everything would be load of their own.',
    }),
    request_ids: option(choice(['traced', 'all']).prefault('traced'), {
      meaning:
        'Which calls get an `x-request-id` of 32 hexadecimal digits if the caller sends none. It is passed on and is in the access log. If it is a UUID, with or without hyphens, and there is no `traceparent`, it becomes the trace id. Then spans of one failed call have the same trace at all sidecars.',
      why: 'A header that is different on each call costs about a tenth of what passing on a small call does.',
    }),
    attributes: option(attributes.prefault({}).check(rules(refuseOwnAttributes)), {
      meaning:
        'Attributes of the resource, beside `service.name`, `service.instance.id` and `host.name`: for example `deployment.environment.name: production`.',
      why: 'The service and the instance tell most meshes apart.',
    }),
  }).check(rules(refusePathOfGrpc));

const PRESENT =
  'Present: spans of calls go to an OpenTelemetry collector (docs/OBSERVE.md): one for each call, and one for each attempt with its endpoint, outcome, reason and wait. Calls are in W3C traces, whose ids are passed on. Spans are dropped and counted while the collector is away.';

/** In a sidecar file. */
export const traces = option(tracesBlock().optional(), {
  meaning: PRESENT,
  otherwise: 'absent: no spans; `traceparent`, `tracestate` and `x-request-id` are passed on as they come',
  why: 'It needs a collector.',
});

/** In a mesh file. */
export const meshTraces = option(tracesBlock().optional(), {
  meaning: `${PRESENT} For every sidecar of the mesh.`,
  otherwise: 'absent: no spans; `traceparent`, `tracestate` and `x-request-id` are passed on as they come',
  why: 'It needs a collector.',
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

function refusePathOfGrpc(found: FoundBlock, report: Report): void {
  const endpoint = text(found['endpoint']);
  if (found['protocol'] !== 'grpc' || endpoint === undefined) return;
  const origin = /^https?:\/\/[^/]+/.exec(endpoint)?.[0];
  if (origin !== undefined && origin.length < endpoint.length)
    report(['endpoint'], `found a path; expected ${JSON.stringify(origin)}, as gRPC has a path of its own`);
}
