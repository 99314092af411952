import { Agent } from 'node:http';
import type { Address } from '../config/model.js';
import { EndClass } from '../core/health/process-end.js';
import type { Health } from '../health/model/health-probe.js';
import type { TimeDeps } from '../runtime/deps.js';
import type { Timer } from '../runtime/time/timers.js';
import type { Monitor, MonitorEvents, Probe } from '../supervise/supervisor.js';
import { askAdmin } from './admin-client.js';
import { oneLine } from './failure.js';

const PERIOD_MS = 5_000;
const TIMEOUT_MS = 10_000;
/** Timeouts in a row that count as a hang. */
const MAX_TIMEOUTS = 2;
/**
 * A probe that took this much longer than its timeout was delayed by a stall of our own process.
 */
const OWN_STALL_MS = 1_000;

/**
 * Probes `GET /live` at a sidecar's admin address, in the shape of a model's health probe for
 * `Supervisor`.
 */
export function liveProbe(admin: Address): Probe {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return {
    async check(timeoutMs): Promise<Health> {
      try {
        const { status } = await askAdmin(admin, '/live', { timeoutMs, agent });
        return status === 200
          ? { kind: 'serving' }
          : { kind: 'silent', why: `the admin server answered ${status}` };
      } catch (error) {
        return { kind: 'silent', why: oneLine(error) };
      }
    },
    close: () => agent.destroy(),
  };
}

export interface MonitorOptions extends TimeDeps {
  readonly probe: Probe;
  readonly events: MonitorEvents;
  /** What does not answer, at the start of the reported sentence. Default: `it`. */
  readonly subject?: string;
  /** It has not answered for `SILENT_MS`, or answers again. Nothing is done to it for that. */
  onSilence?(isSilent: boolean): void;
}

/** An answer takes milliseconds: after this, people want to know. */
export const SILENT_MS = 2_000;

/**
 * Probes a process every 5 s, and reports a hang after two timeouts of 10 s in a row. A timeout
 * that lasted longer than it should was a stall of our own process, and is not counted.
 */
export function monitorAnswers(options: MonitorOptions): Monitor {
  const { probe, events, clock, timers, subject = 'it', onSilence } = options;
  let timeouts = 0;
  let isSilent = false;
  let late: Timer | undefined;
  const recordSilence = (now: boolean): void => {
    if (isSilent !== now) onSilence?.(now);
    isSilent = now;
  };
  let isStopped = false;
  let timer: Timer;
  const checkLater = () => {
    timer = timers.after(PERIOD_MS, () => void check());
  };
  const check = async () => {
    const sentMs = clock.now();
    late = timers.after(SILENT_MS, () => {
      // Later than that, our own process was stopped, and the answer may lie there unread.
      if (clock.now() - sentMs < SILENT_MS + OWN_STALL_MS) recordSilence(true);
    });
    const health = await probe.check(TIMEOUT_MS);
    late.cancel();
    if (isStopped) return;
    if (health.kind === 'serving') recordSilence(false);
    if (health.kind === 'serving') timeouts = 0;
    else if (clock.now() - sentMs < TIMEOUT_MS + OWN_STALL_MS) timeouts++;
    if (timeouts < MAX_TIMEOUTS) return checkLater();
    const why = health.kind === 'silent' ? health.why : '';
    events.onHang(`${subject} has not answered ${MAX_TIMEOUTS} times (${why})`, EndClass.killedFrozen);
  };
  checkLater();
  return {
    stop() {
      isStopped = true;
      timer.cancel();
      late?.cancel();
    },
  };
}
