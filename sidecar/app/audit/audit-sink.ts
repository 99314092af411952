import { dirname } from 'node:path';
import type { SidecarConfig } from '../../config/model.js';
import type { Identity } from '../../identity/identity.js';
import type { Logger } from '../../runtime/log/logger.js';
import { LogThrottle } from '../../runtime/log/logger.js';
import { messageOf } from '../../runtime/log/message-of.js';
import { makeDirectory } from '../../runtime/process/directory.js';
import type { Timer } from '../../runtime/time/timers.js';
import { AuditFile } from '../../telemetry/audit/audit-file.js';
import { AuditLog } from '../../telemetry/audit/audit-log.js';
import type { ChainHead } from '../../telemetry/audit/chain.js';
import { RepeatedDecisions } from '../../telemetry/audit/repeated.js';
import { type AuditTrail, NO_AUDIT } from '../../telemetry/audit/trail.js';
import type { Metric } from '../../telemetry/metric.js';
import { metric, one } from '../../telemetry/metric-rows.js';
import type { Deps } from '../context.js';

/** The end of the chain is put elsewhere this often, ms. */
const PUBLISH_MS = 60_000;
/** Failures to do so are named once per this, ms. */
const NAMED_MS = 600_000;

/** Takes the end of a chain, against which the file can be checked. */
export type HeadStore = (head: ChainHead) => Promise<void>;

/** The audit log of a sidecar with what it depends on: the key that signs, and the place that remembers its end. */
export class AuditSink {
  /** Takes decisions; of a sidecar without an audit log it takes them to nowhere. */
  readonly trail: AuditTrail;
  private readonly log: AuditLog | undefined;
  private readonly repeated: RepeatedDecisions | undefined;
  private readonly throttle: LogThrottle;
  private signer: () => Identity | undefined = () => undefined;
  private store: HeadStore | undefined;
  /** Number of the last line that the store has. */
  private published = 0;
  private timer: Timer | undefined;
  /** A process that hands over closes it twice, and may end only once the file is written. */
  private closing: Promise<void> | undefined;

  constructor(
    { audit, instance }: Pick<SidecarConfig, 'audit' | 'instance'>,
    private readonly deps: Pick<Deps, 'clock' | 'timers' | 'logger'>,
  ) {
    this.throttle = new LogThrottle(deps.clock, NAMED_MS);
    if (audit === undefined) {
      this.trail = NO_AUDIT;
      return;
    }
    makeDirectoryOf(audit.path, deps.logger);
    const file = new AuditFile(audit.path, audit.rotateAtBytes, audit.keep);
    this.log = new AuditLog({ ...deps, sidecar: instance, file, signer: () => this.signer() });
    this.repeated = new RepeatedDecisions(this.log, deps);
    this.trail = this.repeated;
  }

  /** From now on checkpoints are signed with this identity's key. */
  signBy(identity: () => Identity | undefined): void {
    this.signer = identity;
  }

  /** Once a minute `store` gets the end of the chain, where it has moved. */
  publishTo(store: HeadStore): void {
    if (this.log === undefined) return;
    this.store = store;
    this.timer = this.deps.timers.every(PUBLISH_MS, () => void this.publish(), { unref: true });
  }

  /** Never rejects: the file is the log, and the store a second witness. */
  private async publish(): Promise<void> {
    const { log, store } = this;
    if (log === undefined || store === undefined || log.head.n === this.published) return;
    const { head } = log;
    try {
      await store(head);
      this.published = head.n;
    } catch (error) {
      if (this.throttle.pass('publish') >= 0)
        this.deps.logger.warn(
          { problem: messageOf(error) },
          'the end of the audit log cannot be put into Consul; the file goes on',
        );
    }
  }

  /** None without an audit log. */
  metrics(): Metric[] {
    const { log } = this;
    if (log === undefined) return [];
    return [
      metric('outrider_audit_lines_total', one(log.written)),
      metric('outrider_audit_missed_total', one(log.missed)),
      metric('outrider_audit_waiting_lines', one(log.waitingLines)),
      metric('outrider_audit_published_line', one(this.published)),
    ];
  }

  /** Signs and writes what is there, says where the chain ends, and leaves the file to another process. */
  close(): Promise<void> {
    this.closing ??= this.closeNow();
    return this.closing;
  }

  private async closeNow(): Promise<void> {
    this.timer?.cancel();
    this.repeated?.flush();
    await this.log?.close();
    await this.publish();
  }
}

/** A directory that cannot be made is a file that cannot be written: the log says so, and tries again. */
function makeDirectoryOf(path: string, logger: Logger): void {
  try {
    makeDirectory(dirname(path), 0o750);
  } catch (error) {
    logger.error({ path, problem: messageOf(error) }, 'the directory of the audit log cannot be made');
  }
}
