import type {
  ProcessFaultAdmin,
  ProcessFaultKind,
  ProcessFaultReport,
  ProcessStrike,
} from '../admin/process-faults.js';
import type { SidecarConfig } from '../config/model.js';
import type { Timer } from '../runtime/time/timers.js';
import { AuditKind } from '../telemetry/audit/trail.js';
import type { AppContext } from './context.js';
import type { ModelHost } from './model-host.js';

/** What is frozen, and until when. */
interface Frozen {
  readonly host: Pick<ModelHost, 'thaw' | 'report'>;
  readonly pid: number;
  readonly model: string | undefined;
  readonly untilMs: number;
  readonly timer: Timer;
}

export interface ProcessFaultsOptions {
  /** `fault_injection` of the file. */
  readonly permission: SidecarConfig['faultInjection'];
  readonly context: Pick<AppContext, 'deps' | 'dataPlane'>;
  /** The model servers of this sidecar now. */
  hosts(): readonly Pick<ModelHost, 'model' | 'report' | 'strike' | 'thaw'>[];
}

/**
 * Faults of model processes for drills, done by the sidecar that supervises them: it has the process itself, and no process id that
 * may belong to another one by now. One process is frozen at a time; a freeze ends by itself, also when what asked for it is
 * gone. Each is written to the log and to the audit log.
 */
export class ProcessFaults implements ProcessFaultAdmin {
  private frozen: Frozen | undefined;

  constructor(private readonly options: ProcessFaultsOptions) {}

  get isAllowed(): boolean {
    return this.options.permission === 'processes';
  }

  get found(): string {
    return String(this.options.permission ?? false);
  }

  get models(): readonly string[] {
    return [...new Set(this.options.hosts().flatMap(({ model }) => model ?? []))];
  }

  list(): readonly ProcessFaultReport[] {
    this.forgetEnded();
    if (this.frozen === undefined) return [];
    const { pid, model, untilMs } = this.frozen;
    return [report('freeze', { pid, model, leftMs: untilMs - this.options.context.deps.clock.now() })];
  }

  strike(kind: ProcessFaultKind, forMs: number, model?: string): ProcessStrike {
    if (!this.isAllowed) return { kind: 'refused', why: 'faults of processes are not allowed' };
    this.forgetEnded();
    if (this.frozen !== undefined)
      return { kind: 'refused', why: `process ${this.frozen.pid} is frozen already` };
    let why = 'there is no model process here';
    for (const host of this.options.hosts()) {
      if (model !== undefined && host.model !== model) continue;
      const struck = host.strike(kind);
      if (struck.kind === 'struck')
        return this.noted(kind, { host, pid: struck.pid, model: host.model, forMs });
      why = struck.why;
    }
    return { kind: 'refused', why };
  }

  thaw(): number {
    return this.end('cleared');
  }

  /** Lets what is frozen go on: the sidecar ends. */
  stop(): void {
    this.end('the sidecar ends');
  }

  private noted(
    kind: ProcessFaultKind,
    { host, pid, model, forMs }: Pick<Frozen, 'host' | 'pid' | 'model'> & { readonly forMs: number },
  ): ProcessStrike {
    const { deps, dataPlane } = this.options.context;
    if (kind === 'freeze') {
      const timer = deps.timers.after(forMs, () => void this.end('time'));
      this.frozen = { host, pid, model, untilMs: deps.clock.now() + forMs, timer };
    }
    const fault = report(kind, { pid, model, leftMs: kind === 'freeze' ? forMs : 0 });
    deps.logger.warn({ fault }, 'a fault is injected');
    dataPlane.audit.record(AuditKind.faultInjected, { fault });
    return { kind: 'struck', fault };
  }

  /** A frozen process may be found to hang, and be killed: then nothing is frozen. */
  private forgetEnded(): void {
    if (this.frozen !== undefined && this.frozen.host.report().pid !== this.frozen.pid)
      this.end('the process has ended');
  }

  /** @returns how many processes go on. */
  private end(cause: string): number {
    if (this.frozen === undefined) return 0;
    const { host, pid, timer } = this.frozen;
    this.frozen = undefined;
    timer.cancel();
    host.thaw(pid);
    const { deps, dataPlane } = this.options.context;
    deps.logger.warn({ pid, cause }, 'a frozen process goes on');
    dataPlane.audit.record(AuditKind.faultsEnded, { gone: 1, left: 0, cause });
    return 1;
  }
}

function report(
  process: ProcessFaultKind,
  {
    pid,
    model,
    leftMs,
  }: { readonly pid: number; readonly model: string | undefined; readonly leftMs: number },
): ProcessFaultReport {
  return { process, ...(model !== undefined && { model }), pid, leftMs: Math.max(0, Math.round(leftMs)) };
}
