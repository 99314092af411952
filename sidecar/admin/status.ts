/**
 * The one answer that says how a sidecar is: what `/endpoints` returns, and what the page and `outrider status` show.
 */

import type {
  EndpointReport,
  MirrorReport,
  ModelReport,
  PoisonReport,
  QueueReport,
  RegistryReport,
} from '../telemetry/reports.js';
import type { SidecarView } from './view.js';

export interface StatusReport {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  /** Of the sidecar itself; absent when what starts it does not say. */
  readonly restarts?: number;
  readonly ready: boolean;
  /** Each reason in one sentence; empty when ready. */
  readonly notReady: readonly string[];
  /** Absent when the sidecar stands beside a caller only. */
  readonly model?: ModelReport;
  /** Each of them; absent where there is one. */
  readonly models?: readonly ModelReport[];
  readonly queue?: QueueReport;
  /** Absent when everything is in the sidecar's file. */
  readonly registry?: RegistryReport;
  readonly endpoints: readonly EndpointReport[];
  /** Absent when nothing is copied. */
  readonly mirrors?: readonly MirrorReport[];
  /** Requests that were in models as they crashed; absent when there are none. */
  readonly poison?: readonly PoisonReport[];
}

/** The view at this moment, as plain data ready for JSON. */
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
