import { present } from '../config/present.js';
import type * as reports from '../telemetry/reports.js';
import type { SidecarView } from './view.js';

/** The JSON of `/endpoints`, which the page and `outrider status` show. Durations are in ms. */
export interface StatusReport {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  /** Of the sidecar's own process; absent: not known. */
  readonly pid?: number;
  /** Number of restarts of the sidecar itself; absent: not known. */
  readonly restarts?: number;
  readonly ready: boolean;
  /** Reasons against readiness, one sentence each; empty when ready. */
  readonly notReady: readonly string[];
  /** Upstreams of which no endpoint has been reached yet and that readiness does not wait for, one sentence each. Absent: none. */
  readonly unreached?: readonly string[];
  /**
   * Those of `unreached` to which each call fails: no target of another upstream, none with `cold_start`, and none of a scaler. Absent: none, or an
   * older sidecar, which does not say it.
   */
  readonly unreachedNeeded?: readonly string[];
  /** All models together; absent in a sidecar beside a caller only. */
  readonly model?: reports.ModelReport;
  /** Each model; absent where there is only one. */
  readonly models?: readonly reports.ModelReport[];
  /** Where each version of each model stands; absent in a sidecar beside a caller only. */
  readonly lives?: readonly reports.LifeReport[];
  readonly queue?: reports.QueueReport;
  /** Calls that have ended since the start, each direction. */
  readonly calls?: reports.CallCounts;
  /** Until the sidecar's own certificate ends, seconds; negative: it has. Absent without one. */
  readonly certificateEndsInS?: number;
  /** That it ends soon, and why there is no new one, in one line. The sidecar is ready all the same. Absent: neither. */
  readonly certificateWarning?: string;
  /** Absent without a `consul` block. */
  readonly registry?: reports.RegistryReport;
  /** Absent where no upstream is found by a DNS name. */
  readonly dns?: readonly reports.DnsReport[];
  /** Absent where no upstream is found by a Service of Kubernetes. */
  readonly kubernetes?: readonly reports.KubernetesReport[];
  readonly endpoints: readonly reports.EndpointReport[];
  /** Absent without mirrors. */
  readonly mirrors?: readonly reports.MirrorReport[];
  /** Features that could not see some calls for their size; absent when there are none. */
  readonly sizeLimits?: readonly reports.SizeLimitReport[];
  /** Methods whose kind the file does not say; absent where nothing is known of them. */
  readonly methods?: readonly reports.MethodReport[];
  /** Internal errors since the start; absent when there are none. */
  readonly defects?: reports.DefectReport;
  /** Requests that were in crashes of models; absent when there are none. */
  readonly poison?: readonly reports.PoisonReport[];
}

/** Reads the whole status, as plain data for JSON. */
export function statusOf(view: SidecarView): StatusReport {
  const { service, instance, version } = view;
  const notReady = view.notReady();
  return {
    service,
    instance,
    version,
    ...present('pid', view.pid),
    ...present('restarts', view.restarts),
    ready: notReady.length === 0,
    notReady,
    ...present('unreached', ofLength(1, view.unreached())),
    ...present('unreachedNeeded', ofLength(1, view.unreachedNeeded())),
    ...present('model', view.model()),
    ...present('models', ofLength(2, view.models())),
    ...present('lives', ofLength(1, view.lives())),
    ...present('queue', view.queue()),
    calls: view.calls(),
    ...present('certificateEndsInS', view.certificateEndsInS()),
    ...present('certificateWarning', view.certificateWarning()),
    ...present('registry', view.registry()),
    ...present('dns', ofLength(1, view.dns())),
    ...present('kubernetes', ofLength(1, view.kubernetes())),
    endpoints: view.endpoints(),
    ...present('mirrors', ofLength(1, view.mirrors())),
    ...present('sizeLimits', ofLength(1, view.sizeLimits())),
    ...present('methods', ofLength(1, view.methods())),
    ...present('defects', view.defects()),
    ...present('poison', ofLength(1, view.poison())),
  };
}

function ofLength<T>(least: number, list: readonly T[]): readonly T[] | undefined {
  return list.length < least ? undefined : list;
}
