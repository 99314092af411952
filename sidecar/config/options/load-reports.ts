/**
 * Load reports (ORCA, gRFC A51): what the inbound side tells of the model's load, and what the outbound side asks of its endpoints.
 */
import { block, option } from './option.js';
import { durationOrNone, yesOrNo } from './values.js';

const MINUTE_MS = 60_000;

/** `inbound.load_report` of a sidecar, `load_report` of a service. */
export const loadReport = option(
  block({
    trailers: option(yesOrNo().prefault(false), {
      meaning:
        'Every answer carries a report in its trailers (`endpoint-load-metrics-bin`), for clients that choose by it per call, such as `weighted_round_robin` of gRPC or Envoy. Sidecars that watch the load get one anyway, at most every 10 ms on a connection.',
      why: 'A hundred bytes for each answer, which most clients throw away.',
    }),
    out_of_band: option(yesOrNo().prefault(true), {
      meaning:
        '`xds.service.orca.v3.OpenRcaService/StreamCoreMetrics` is answered by the sidecar, for every caller that the intentions allow: a stream of reports at the interval that it asks for, 100 ms at least. There may be 1,024 streams, half of them of one caller; one more is refused with RESOURCE_EXHAUSTED (`too-many-streams`). `false`: such calls go to the model.',
      why: 'Callers that know the load wait less; a report a second costs nothing.',
    }),
  }).prefault({}),
  {
    meaning:
      'What callers are told about the load. `application_utilization` is the number of calls that run or wait divided by those that may run at once, as a mean of the last second; `rps_fractional` and `eps` are calls and failed calls per second; named metrics are `outrider.calls`, `outrider.concurrency`, `outrider.long_calls` (those that have run for four times the mean), `outrider.idle_streams` (open streams without a frame for a second, which are not among the calls), `outrider.run_seconds`, `outrider.queue_wait_seconds`, of engines `outrider.waiting_tokens`, and what they say themselves (GetLoads): `outrider.engine_running`, `outrider.engine_waiting` and the utilization `kv_cache`; and, with several models, `outrider.utilization.MODEL`. What the model reports itself in its trailers is added.',
    why: 'A caller sees only its own calls; the sidecar at the model sees those of all.',
  },
);

/** `load_reports` of an upstream. */
export const loadReports = option(
  block({
    interval: option(durationOrNone({ min: 100, max: MINUTE_MS }).prefault('1s'), {
      meaning:
        'How often an endpoint is asked for its load, out of band. Asked are endpoints with `tls: mesh` that the file lists or that are Outriders by their registration in Consul. They are asked only if there is more than one and the balancer (not `round-robin`) or the latency detector uses the load. In a sidecar with `scaler`, all of them are asked, always. Outriders report a change after 250 ms. `none`: endpoints are not asked; reports in trailers still count.',
      why: 'A report counts for 3 s; after that an endpoint is judged by our own calls alone. For `scaler` it counts for three intervals, if that is longer and the endpoint is connected.',
    }),
    forward: option(yesOrNo().prefault(false), {
      meaning:
        'Load reports in trailers (`endpoint-load-metrics-bin`, `endpoint-load-metrics`) are passed on to the application.',
      why: 'The load is about one endpoint, and the application sees one upstream.',
    }),
  }).prefault({}),
  {
    meaning: 'What endpoints report about their load.',
    why: 'Calls of other callers count for the choice of an endpoint too.',
  },
);
