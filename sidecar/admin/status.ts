import type {
  EndpointReport,
  MirrorReport,
  ModelReport,
  PoisonReport,
  QueueReport,
  RegistryReport,
} from '../telemetry/reports.js';
import type { SidecarView } from './view.js';

/** The JSON of `/endpoints`, which the page and `outrider status` show. Durations are in ms. */
export interface StatusReport {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  /** Number of restarts of the sidecar itself; absent: not known. */
  readonly restarts?: number;
  readonly ready: boolean;
  /** Reasons against readiness, one sentence each; empty when ready. */
  readonly notReady: readonly string[];
  /** All models together; absent in a sidecar beside a caller only. */
  readonly model?: ModelReport;
  /** Each model; absent where there is only one. */
  readonly models?: readonly ModelReport[];
  readonly queue?: QueueReport;
  /** Absent without a `consul` block. */
  readonly registry?: RegistryReport;
  readonly endpoints: readonly EndpointReport[];
  /** Absent without mirrors. */
  readonly mirrors?: readonly MirrorReport[];
  /** Requests that were in crashes of models; absent when there are none. */
  readonly poison?: readonly PoisonReport[];
}

/** Reads the whole status, as plain data for JSON. */
export function statusOf(view: SidecarView): StatusReport {
  const notReady = view.notReady();
  const model = view.model();
  const models = view.models();
  const queue = view.queue();
  const registry = view.registry();
  const mirrors = view.mirrors();
  const poison = view.poison();
  return {
    service: view.service,
    instance: view.instance,
    version: view.version,
    ...(view.restarts === undefined ? {} : { restarts: view.restarts }),
    ready: notReady.length === 0,
    notReady,
    ...(model === undefined ? {} : { model }),
    ...(models.length < 2 ? {} : { models }),
    ...(queue === undefined ? {} : { queue }),
    ...(registry === undefined ? {} : { registry }),
    endpoints: view.endpoints(),
    ...(mirrors.length === 0 ? {} : { mirrors }),
    ...(poison.length === 0 ? {} : { poison }),
  };
}
