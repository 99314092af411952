/**
 * What the admin server may see of a running sidecar. The app implements it; nothing here touches sockets.
 */

import type { Metric } from '../telemetry/metric.js';
import type {
  EndpointReport,
  MirrorReport,
  ModelReport,
  PoisonReport,
  QueueReport,
  RegistryReport,
} from '../telemetry/reports.js';
import type { FaultAdmin } from './faults.js';

export type TakeoverAnswer =
  | { readonly ok: true; readonly pid: number }
  | { readonly ok: false; readonly why: string };

export interface SidecarView {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  /** How often the sidecar itself was started again; undefined: what starts it does not say. */
  readonly restarts: number | undefined;
  /** Empty when ready, else each reason in one sentence. */
  notReady(): readonly string[];
  endpoints(): readonly EndpointReport[];
  queue(): QueueReport | undefined;
  /** Empty where nothing is copied. */
  mirrors(): readonly MirrorReport[];
  /** Empty where no model has crashed lately. */
  poison(): readonly PoisonReport[];
  /** Faults for drills. */
  faults(): FaultAdmin;
  /** Of all models together. */
  model(): ModelReport | undefined;
  models(): readonly ModelReport[];
  /** Undefined when there is none: everything is in the file. */
  registry(): RegistryReport | undefined;
  metrics(): readonly Metric[];
  /** The configuration in force, without secrets, ready for JSON. */
  config(): unknown;
  /** Resolves once calls in flight have finished or the drain timeout has passed. Calling it twice is the same drain. */
  drain(): Promise<void>;
  /** Has a successor started, in a process of its own. Resolves when that accepts, which is when this one begins to drain. */
  takeOver(): Promise<TakeoverAnswer>;
}
