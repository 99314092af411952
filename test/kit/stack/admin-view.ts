/** A view whose every answer the test sets by hand. */

import type { FaultAdmin } from '../../../sidecar/admin/faults.js';
import type { ProcessFaultAdmin } from '../../../sidecar/admin/process-faults.js';
import type { RolloutAdmin } from '../../../sidecar/admin/rollouts.js';
import type { StatusReport } from '../../../sidecar/admin/status.js';
import type { SidecarView, TakeoverAnswer } from '../../../sidecar/admin/view.js';
import type { CallTotals } from '../../../sidecar/core/history/call-deltas.js';
import type { Metric } from '../../../sidecar/telemetry/metric.js';
import type * as reports from '../../../sidecar/telemetry/reports.js';

/** Where no model process may be struck. */
export const NO_PROCESS_FAULTS: ProcessFaultAdmin = {
  ...{ isAllowed: false, found: 'true', models: [] },
  list: () => [],
  strike: () => ({ kind: 'refused', why: 'this is no sidecar' }),
  thaw: () => 0,
};

export class FakeView implements SidecarView {
  readonly service = 'digits';
  readonly version = '0.0.0';
  pid: number | undefined;
  restarts: number | undefined;
  instance = 'digits-1';
  reasons: string[] = [];
  startReasons: string[] = [];
  rows: reports.EndpointReport[] = [];
  queueReport: reports.QueueReport | undefined;
  modelReport: reports.ModelReport | undefined;
  modelReports: reports.ModelReport[] = [];
  lifeReports: reports.LifeReport[] = [];
  registryReport: reports.RegistryReport | undefined;
  metricFamilies: Metric[] = [];
  kubernetesReports: reports.KubernetesReport[] = [];
  mirrorReports: reports.MirrorReport[] = [];
  sizeLimitReports: reports.SizeLimitReport[] = [];
  faultDesk: FaultAdmin = {
    isAllowed: false,
    upstreams: [],
    list: () => [],
    switchOn: () => ({ kind: 'refused', why: 'this is no sidecar' }),
    switchOff: () => 0,
    processes: NO_PROCESS_FAULTS,
  };
  drains = 0;
  endDrain: () => void = () => {};
  private readonly drained = new Promise<void>((resolve) => {
    this.endDrain = resolve;
  });

  takeoverAnswer: TakeoverAnswer = { ok: true, pid: 7 };

  notReady = () => this.reasons;
  notStarted = () => this.startReasons;
  away: string[] = [];
  unreached = (): readonly string[] => this.away;
  needed: string[] = [];
  unreachedNeeded = (): readonly string[] => this.needed;
  endpoints = (): readonly reports.EndpointReport[] => this.rows;
  queue = () => this.queueReport;
  defects = () => undefined;
  poison = () => [];
  methodReports: reports.MethodReport[] = [];
  certificateS: number | undefined;
  callCounts: reports.CallCounts = { inbound: 0, outbound: 0 };
  methods = (): readonly reports.MethodReport[] => this.methodReports;
  openTap: SidecarView['openTap'] = () => undefined;
  calls = () => this.callCounts;
  totals: CallTotals[] = [];
  callTotals = (): readonly CallTotals[] => this.totals;
  certificateEndsInS = () => this.certificateS;
  oldCertificate: string | undefined;
  certificateWarning = () => this.oldCertificate;
  mirrors = () => this.mirrorReports;
  sizeLimits = () => this.sizeLimitReports;
  faults = () => this.faultDesk;
  model = () => this.modelReport;
  models = () => this.modelReports;
  rolloutAdmin: RolloutAdmin | undefined;
  rollouts = () => this.rolloutAdmin;
  lives = () => this.lifeReports;
  registry = () => this.registryReport;
  dnsReports: reports.DnsReport[] = [];
  dns = () => this.dnsReports;
  kubernetes = () => this.kubernetesReports;
  metrics = () => this.metricFamilies;
  config = (): unknown => ({ service: this.service });
  takeOver = () => Promise.resolve(this.takeoverAnswer);
  drain = (): Promise<void> => {
    this.drains++;
    return this.drained;
  };
}

/** What a sidecar without calls says of itself. */
export function aStatusReport(over: Partial<StatusReport> = {}): StatusReport {
  const itself = { service: 'web', instance: 'web-1', version: '0' };
  return { ...itself, ready: true, notReady: [], endpoints: [], ...over };
}

/** An endpoint of the upstream `digits` that gets calls and has no call in flight. */
export function anEndpoint(overrides: Partial<reports.EndpointReport> = {}): reports.EndpointReport {
  const state = { state: 'eligible', why: '', sinceMs: 1000, connections: 1, inFlight: 0 } as const;
  const rates = { ewmaMs: 14_314, latencyMs: 2.25, weight: 1, attempts: 10 };
  const noFaults = { faults: 0, consecutiveFaults: 0, ejections: 0 };
  const names = { upstream: 'digits', endpoint: 'digits-1', address: '127.0.0.1:5001' };
  return { ...names, ...state, ...rates, ...noFaults, ...overrides };
}
