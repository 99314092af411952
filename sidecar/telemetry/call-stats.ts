import type { LimitName } from '../http2/limits.js';
import { getOrInsert } from '../runtime/get-or-insert.js';
import { EngineTable } from './engine-stats.js';

/**
 * Upper bounds of the latency buckets, ms; one more bucket takes the rest. A quantile by them is never above the last bound, so
 * that one lies above what a generation of text takes.
 */
export const LATENCY_BOUNDS_MS: readonly number[] = [
  0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000,
];

/** Calls of one kind: direction × service × method, and where calls are told apart by them, × model × version. */
export class CallStats {
  started = 0;
  inFlight = 0;
  /** By gRPC status code 0–16. */
  readonly byStatus = new Float64Array(17);
  readonly latency = new Float64Array(LATENCY_BOUNDS_MS.length + 1);
  latencySumMs = 0;
  /** Answered by the sidecar itself, by reason. */
  readonly byReason = new Map<string, number>();
  retries = 0;

  constructor(
    readonly direction: 'inbound' | 'outbound',
    readonly service: string,
    readonly method: string,
    /** Empty: they are not told apart by it. */
    readonly model = '',
    /** Empty: no route names it. */
    readonly version = '',
  ) {}

  /** A call has arrived. */
  begin(): void {
    this.started++;
    this.inFlight++;
  }

  /** A call has ended, with this gRPC status, `elapsedMs` after it began. */
  finish(status: number, elapsedMs: number): void {
    this.inFlight--;
    this.byStatus[status >= 0 && status <= 16 ? status : 2]!++;
    this.latencySumMs += elapsedMs;
    let i = 0;
    while (i < LATENCY_BOUNDS_MS.length && elapsedMs > LATENCY_BOUNDS_MS[i]!) i++;
    this.latency[i]!++;
  }

  countReason(name: string): void {
    this.byReason.set(name, (this.byReason.get(name) ?? 0) + 1);
  }
}

type CallKinds = Pick<CallStats, 'direction' | 'service' | 'method'> &
  Partial<Pick<CallStats, 'model' | 'version'>>;

/** What has been logged of one limit. */
export interface LimitLine {
  loggedMs: number;
  /** Times since then that the limit was met without a line. */
  unlogged: number;
}

/**
 * Counters of the data plane: plain numbers, read at scrape time. Labels come only from configuration and from methods
 * named in it; everything else is `other`.
 */
export class StatsRegistry {
  readonly calls: CallStats[] = [];
  private readonly byLabels = new Map<string, CallStats>();
  readonly engines = new EngineTable();
  readonly limits = new Map<LimitName, number>();
  /** What has been logged of them. */
  readonly limitLines = new Map<LimitName, LimitLine>();
  protocolErrors = 0;
  defects = 0;
  connectionsAccepted = 0;
  connectionsOpen = 0;
  /** Calls ended, and streams of finished calls reset, for want of memory. */
  shedCalls = 0;
  /** Complete responses that were reset because their caller did not read them in time. */
  unreadResponses = 0;
  /** Outbound connections that were replaced because the peer reset call after call. */
  connectionsReplaced = 0;
  handshakeFailures = new Map<string, number>();

  /** The counters of these calls: those of before where an upstream has gone and come back, as a scrape may have a series only once. */
  callStats({ direction, service, method, model, version }: CallKinds): CallStats {
    return getOrInsert(this.byLabels, JSON.stringify([direction, service, method, model, version]), () => {
      const stats = new CallStats(direction, service, method, model, version);
      this.calls.push(stats);
      return stats;
    });
  }

  countLimit(name: LimitName): void {
    this.limits.set(name, (this.limits.get(name) ?? 0) + 1);
  }

  countHandshakeFailure(reason: string): void {
    this.handshakeFailures.set(reason, (this.handshakeFailures.get(reason) ?? 0) + 1);
  }
}
