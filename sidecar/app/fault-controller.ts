import type { FaultAdmin, FaultReport, SwitchedOn } from '../admin/faults.js';
import type { ProcessFaultAdmin } from '../admin/process-faults.js';
import { statusName } from '../core/outcome/status.js';
import { ActiveFault, type FaultRule, MAX_FAULTS } from '../core/routing/fault-rule.js';
import type { ActiveFaults, FaultKind } from '../relay/fault-injection.js';
import { WheelTimer } from '../runtime/time/timing-wheel.js';
import { AuditKind } from '../telemetry/audit/trail.js';
import type { DataPlaneContext } from '../transport/context.js';

export interface FaultControllerOptions {
  /** `fault_injection: true` or `processes` is in the file. */
  readonly isAllowed: boolean;
  readonly processes: ProcessFaultAdmin;
  readonly dataPlane: DataPlaneContext;
  upstreamNames(): readonly string[];
  /** Called with each change; null: no fault is active. */
  onChange(faults: ActiveFaults | null): void;
}

/**
 * The active faults of a sidecar, switched by `/faults` at run time. Each ends by itself after its
 * time. While there is none, both sides hold null, and a call costs one comparison.
 */
export class FaultController implements FaultAdmin, ActiveFaults {
  inbound: readonly ActiveFault[] = [];
  outbound: readonly ActiveFault[] = [];
  /** Faults injected since the start, by `SIDE KIND`, such as `outbound delay`. */
  readonly injected = new Map<string, number>();
  private faults: readonly ActiveFault[] = [];
  private lastId = 0;
  private readonly timer = new WheelTimer(() => this.expire());
  readonly isAllowed = this.options.isAllowed;
  readonly processes = this.options.processes;
  private readonly dataPlane = this.options.dataPlane;

  constructor(private readonly options: FaultControllerOptions) {}

  get upstreams(): readonly string[] {
    return this.options.upstreamNames();
  }

  count({ rule }: ActiveFault, kind: FaultKind): void {
    const key = `${rule.side} ${kind}`;
    this.injected.set(key, (this.injected.get(key) ?? 0) + 1);
  }

  list(): readonly FaultReport[] {
    const now = this.dataPlane.clock.now();
    return this.faults.filter(({ untilMs }) => now < untilMs).map((fault) => reportOf(fault, now));
  }

  switchOn(rule: FaultRule, forMs: number): SwitchedOn {
    if (!this.isAllowed) return { kind: 'refused', why: 'fault injection is not allowed' };
    const now = this.dataPlane.clock.now();
    if (this.faults.length >= MAX_FAULTS)
      return { kind: 'refused', why: `${MAX_FAULTS} faults are on already` };
    const fault = new ActiveFault(++this.lastId, rule, now + forMs);
    const report = reportOf(fault, now);
    this.dataPlane.logger.warn({ fault: report }, 'a fault is injected');
    this.dataPlane.audit.record(AuditKind.faultInjected, { fault: report });
    this.set([...this.faults, fault]);
    return { kind: 'on', fault: report };
  }

  switchOff(id?: number): number {
    const left = id === undefined ? [] : this.faults.filter((fault) => fault.id !== id);
    const gone = this.faults.length - left.length;
    if (gone === 0) return 0;
    this.dataPlane.logger.warn({ gone, left: left.length }, 'injected faults were cleared');
    this.dataPlane.audit.record(AuditKind.faultsEnded, { gone, left: left.length, cause: 'cleared' });
    this.set(left);
    return gone;
  }

  /** Stops the timer of the next expiry. */
  stop(): void {
    this.dataPlane.wheel.cancel(this.timer);
  }

  private expire(): void {
    const now = this.dataPlane.clock.now();
    const left = this.faults.filter(({ untilMs }) => now < untilMs);
    const gone = this.faults.length - left.length;
    if (gone > 0) {
      this.dataPlane.logger.info({ gone, left: left.length }, 'injected faults are over');
      this.dataPlane.audit.record(AuditKind.faultsEnded, { gone, left: left.length, cause: 'time' });
    }
    this.set(left);
  }

  /** Replaces the active faults, and plans the next expiry. */
  private set(faults: readonly ActiveFault[]): void {
    this.faults = faults;
    this.inbound = faults.filter(({ rule }) => rule.side === 'inbound');
    this.outbound = faults.filter(({ rule }) => rule.side === 'outbound');
    const { wheel } = this.dataPlane;
    wheel.cancel(this.timer);
    if (faults.length > 0) wheel.add(this.timer, Math.min(...faults.map(({ untilMs }) => untilMs)));
    this.options.onChange(faults.length === 0 ? null : this);
  }
}

function reportOf({ id, rule, untilMs, injected }: ActiveFault, nowMs: number): FaultReport {
  const { side, peer, method, ratio, delayMs, abort } = rule;
  return {
    id,
    side,
    ...(peer === undefined ? {} : side === 'inbound' ? { caller: peer } : { upstream: peer }),
    method,
    ratio,
    ...(delayMs === 0 ? {} : { delayMs }),
    ...(abort === undefined ? {} : { abort: statusName(abort) }),
    leftMs: Math.max(0, Math.round(untilMs - nowMs)),
    injected,
  };
}
