/** Where spans of calls go, and of which calls. */
import { collectorOptions, refusePathOfGrpc, resourceAttributes } from './collector.js';
import { block, option, rules } from './option.js';
import { choice, ratio, wholeNumberOrNone } from './values.js';

const tracesBlock = () =>
  block({
    ...collectorOptions({ path: '/v1/traces', why: 'Traces without a collector would go nowhere.' }),
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
    attributes: resourceAttributes(),
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
