/**
 * How `up` sees whether a process it started lives: it asks a sidecar for `/live` on the admin port, and others as they answer.
 *
 * Two silences in a row, of ten seconds each, are a hang. A silence that our own process slept through proves
 * nothing, so one that lasted longer than it was asked to is forgotten.
 */

import { Agent } from 'node:http';
import type { Address } from '../config/model.js';
import { EndClass } from '../core/health/process-end.js';
import type { Health } from '../health/model/health-probe.js';
import type { Clock } from '../runtime/time/clock.js';
import type { Timer, Timers } from '../runtime/time/timers.js';
import type { Monitor, MonitorEvents, Probe } from '../supervise/supervisor.js';
import { askAdmin } from './admin-client.js';
import { oneLine } from './failure.js';

const PERIOD_MS = 5_000;
const SILENCE_MS = 10_000;
const SILENCES = 2;
/** A timer later than this was held up by our own process. */
const OWN_STALL_MS = 1_000;

/** Answers as a model's health does, so that sidecars and models are supervised by the same code. */
export function liveProbe(admin: Address): Probe {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return {
    async check(timeoutMs): Promise<Health> {
      try {
        const { status } = await askAdmin(admin, '/live', timeoutMs, { agent });
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

/** Asks while a sidecar runs; see the header for what it concludes. */
export function monitorSidecar(probe: Probe, events: MonitorEvents, clock: Clock, timers: Timers): Monitor {
  return monitorAnswers(probe, events, clock, timers, 'its admin server');
}

/** `who`: whose silence it is, at the beginning of a sentence. */
export function monitorAnswers(
  probe: Probe,
  events: MonitorEvents,
  clock: Clock,
  timers: Timers,
  who = 'it',
): Monitor {
  let silences = 0;
  let stopped = false;
  let timer: Timer;
  const later = () => {
    timer = timers.after(PERIOD_MS, () => void ask());
  };
  const ask = async () => {
    const askedMs = clock.now();
    const health = await probe.check(SILENCE_MS);
    if (stopped) return;
    const tookMs = clock.now() - askedMs;
    if (health.kind === 'serving') silences = 0;
    else if (tookMs < SILENCE_MS + OWN_STALL_MS) silences++;
    if (silences < SILENCES) later();
    else
      events.onHang(
        `${who} has not answered ${SILENCES} times (${health.kind === 'silent' ? health.why : ''})`,
        EndClass.killedFrozen,
      );
  };
  later();
  return {
    stop() {
      stopped = true;
      timer.cancel();
    },
  };
}
