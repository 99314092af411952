import type { AccessLogConfig } from '../config/model.js';
import { LogFile } from '../runtime/log/log-file.js';
import { createLineWriter, type LineDestination, StandardErrorLines } from '../runtime/log/logger.js';
import { AccessLog } from '../telemetry/access-log.js';
import type { Metric } from '../telemetry/metric.js';
import { metric, one } from '../telemetry/metric-rows.js';
import type { Recorders } from '../telemetry/recorders.js';
import type { AppContext } from './context.js';

/**
 * Opens, replaces and closes the destination of the access log as the configuration asks, and
 * counts its lines over all destinations. It is one of the recorders of calls while there is an
 * `access_log`.
 */
export class AccessLogSink {
  private config: AccessLogConfig | undefined;
  private destination: LineDestination | undefined;
  /**
   * Former destinations that still write their last lines, and their ends; `written` and `dropped` have the counts
   * of closed ones.
   */
  private readonly closing = new Map<LineDestination, Promise<void>>();
  private written = 0;
  private dropped = 0;

  constructor(
    private readonly names: { readonly service: string; readonly instance: string },
    private readonly context: Pick<AppContext, 'deps' | 'dataPlane'>,
    private readonly recorders: Recorders,
  ) {}

  /**
   * Applies a changed configuration. Never fails: lines for a file that cannot be opened are
   * dropped and counted.
   */
  update(config: AccessLogConfig | undefined): void {
    const before = this.config;
    this.config = config;
    const isSame = before !== undefined && before.path === config?.path;
    if (!isSame || config === undefined) this.retireDestination();
    const { dataPlane } = this.context;
    if (config === undefined) {
      this.recorders.set('log', null);
      return;
    }
    this.destination ??= this.open(config);
    const { service, instance } = this.names;
    const write = createLineWriter('access', { instance }, this.destination);
    this.recorders.set('log', new AccessLog(write, config.sampleRatio, service, dataPlane));
  }

  private open({ path }: AccessLogConfig): LineDestination {
    if (path === undefined) return new StandardErrorLines();
    return new LogFile(path, this.context.deps);
  }

  /** Opens the file again, after it was renamed. */
  reopen(): void {
    this.destination?.reopen();
  }

  metrics(): Metric[] {
    const { destination, closing } = this;
    if (this.config === undefined && closing.size === 0 && this.written === 0) return [];
    const all = [...closing.keys(), ...(destination === undefined ? [] : [destination])];
    const sum = (field: 'written' | 'dropped') =>
      one(all.reduce((total, each) => total + each[field], this[field]));
    return [
      metric('outrider_access_log_lines_total', sum('written')),
      metric('outrider_access_log_dropped_total', sum('dropped')),
    ];
  }

  /** Writes buffered lines, also those of former destinations, as far as they are taken quickly. */
  async flush(): Promise<void> {
    await Promise.all([this.destination?.flush(), ...this.closing.values()]);
  }

  /** The same, and takes no more. */
  async close(): Promise<void> {
    this.recorders.set('log', null);
    await Promise.all([this.destination?.close(), ...this.closing.values()]);
  }

  private retireDestination(): void {
    const { destination } = this;
    if (destination === undefined) return;
    this.destination = undefined;
    const end = destination.close().then(() => {
      this.closing.delete(destination);
      this.written += destination.written;
      this.dropped += destination.dropped;
    });
    this.closing.set(destination, end);
  }
}
