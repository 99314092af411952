/** A view whose every answer the test sets by hand. */

import type { FaultAdmin } from '../../../sidecar/admin/faults.js';
import type { SidecarView, TakeoverAnswer } from '../../../sidecar/admin/view.js';
import type { Metric } from '../../../sidecar/telemetry/metric.js';
import type {
  EndpointReport,
  MirrorReport,
  ModelReport,
  PoisonReport,
  QueueReport,
  RegistryReport,
} from '../../../sidecar/telemetry/reports.js';

export class FakeView implements SidecarView {
  readonly service = 'digits';
  readonly version = '0.0.0';
  restarts: number | undefined;
  instance = 'digits-1';
  reasons: string[] = [];
  rows: EndpointReport[] = [];
  queueReport: QueueReport | undefined;
  modelReport: ModelReport | undefined;
  modelReports: ModelReport[] = [];
  registryReport: RegistryReport | undefined;
  metricFamilies: Metric[] = [];
  mirrorReports: MirrorReport[] = [];
  faultDesk: FaultAdmin = {
    isAllowed: false,
    upstreams: [],
    list: () => [],
    switchOn: () => ({ kind: 'refused', why: 'this is no sidecar' }),
    switchOff: () => 0,
  };
  drains = 0;
  endDrain: () => void = () => {};
  private readonly drained = new Promise<void>((resolve) => {
    this.endDrain = resolve;
  });

  notReady(): readonly string[] {
    return this.reasons;
  }
  endpoints(): readonly EndpointReport[] {
    return this.rows;
  }
  queue(): QueueReport | undefined {
    return this.queueReport;
  }
  poison(): readonly PoisonReport[] {
    return [];
  }
  mirrors(): readonly MirrorReport[] {
    return this.mirrorReports;
  }
  faults(): FaultAdmin {
    return this.faultDesk;
  }
  model(): ModelReport | undefined {
    return this.modelReport;
  }
  models(): readonly ModelReport[] {
    return this.modelReports;
  }
  registry(): RegistryReport | undefined {
    return this.registryReport;
  }
  metrics(): readonly Metric[] {
    return this.metricFamilies;
  }
  config(): unknown {
    return { service: this.service };
  }
  takeoverAnswer: TakeoverAnswer = { ok: true, pid: 7 };
  takeOver(): Promise<TakeoverAnswer> {
    return Promise.resolve(this.takeoverAnswer);
  }

  drain(): Promise<void> {
    this.drains++;
    return this.drained;
  }
}

export function anEndpoint(overrides: Partial<EndpointReport> = {}): EndpointReport {
  return {
    upstream: 'digits',
    endpoint: 'digits-1',
    address: '127.0.0.1:5001',
    state: 'eligible',
    why: '',
    sinceMs: 1000,
    connections: 1,
    inFlight: 0,
    ewmaMs: 2.25,
    weight: 1,
    attempts: 10,
    faults: 0,
    consecutiveFaults: 0,
    ejections: 0,
    ...overrides,
  };
}
