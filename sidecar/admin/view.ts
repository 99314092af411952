import type { CallTotals } from '../core/history/call-deltas.js';
import type { Metric } from '../telemetry/metric.js';
import type * as reports from '../telemetry/reports.js';
import type { OpenTap } from '../telemetry/tap/tap.js';
import type { FaultAdmin } from './faults.js';
import type { RolloutAdmin } from './rollouts.js';

/** Result of a takeover: the successor's process id, or why there is none. */
export type TakeoverAnswer =
  | { readonly ok: true; readonly pid: number }
  | { readonly ok: false; readonly why: string };

/** What the admin server reads of a running sidecar; `app/sidecar-reports.ts` implements it. */
export interface SidecarView {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  /** Of the sidecar's process; undefined: not known. */
  readonly pid: number | undefined;
  /** Number of restarts of the sidecar by its parent; undefined: not known. */
  readonly restarts: number | undefined;
  /** Reasons against readiness, one sentence each; empty when ready. */
  notReady(): readonly string[];
  /**
   * Reasons why a job that calls should not begin yet: an upstream of which no endpoint has been reached, or no identity. Its own model and a drain
   * are none.
   */
  notStarted(): readonly string[];
  /** Upstreams of which no endpoint has been reached yet and that readiness does not wait for, one sentence each. */
  unreached(): readonly string[];
  /** Those of them to which each call fails: no target of another upstream, none with `cold_start`, and none of a scaler. */
  unreachedNeeded(): readonly string[];
  endpoints(): readonly reports.EndpointReport[];
  /** Undefined in a sidecar beside a caller only. */
  queue(): reports.QueueReport | undefined;
  /** Empty without mirrors. */
  mirrors(): readonly reports.MirrorReport[];
  /** Empty where every call could be seen. */
  sizeLimits(): readonly reports.SizeLimitReport[];
  /** Methods whose kind the file does not say; empty where nothing is known of them. */
  methods(): readonly reports.MethodReport[];
  /** Internal errors so far; undefined: none. */
  defects(): reports.DefectReport | undefined;
  /** Requests that were in crashes of models; empty without recent crashes. */
  poison(): readonly reports.PoisonReport[];
  /** The faults that are injected, and how to change them. */
  faults(): FaultAdmin;
  /** All models together. */
  model(): reports.ModelReport | undefined;
  models(): readonly reports.ModelReport[];
  /** Undefined: versions of this service do not change by rollouts. */
  rollouts(): RolloutAdmin | undefined;
  /** Where each version of each model stands. */
  lives(): readonly reports.LifeReport[];
  /** The connection to Consul; undefined without a `consul` block. */
  registry(): reports.RegistryReport | undefined;
  /** Empty where no upstream is found by a DNS name. */
  dns(): readonly reports.DnsReport[];
  /** Empty where no upstream is found by a Service of Kubernetes. */
  kubernetes(): readonly reports.KubernetesReport[];
  /** Shows calls as they end; undefined: too many taps are open. The function closes it. */
  readonly openTap: OpenTap;
  /** Calls that have ended since the start. */
  calls(): reports.CallCounts;
  /** The same with failures and times, each direction and service. */
  callTotals(): readonly CallTotals[];
  /** Until the own certificate ends, seconds; undefined without one. */
  certificateEndsInS(): number | undefined;
  /** That the own certificate ends soon, and why there is no new one, in one line; undefined: neither. */
  certificateWarning(): string | undefined;
  metrics(): readonly Metric[];
  /** The configuration in force, without secrets, ready for JSON. */
  config(): unknown;
  /**
   * Resolves when calls in flight have finished, or after the drain timeout. A second call joins
   * the same drain.
   */
  drain(): Promise<void>;
  /**
   * Starts a successor process. Resolves when it accepts, and this process begins to drain; or with
   * why it does not.
   */
  takeOver(): Promise<TakeoverAnswer>;
}
