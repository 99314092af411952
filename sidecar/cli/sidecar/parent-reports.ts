import type { RunningSidecar } from '../../app/running-sidecar.js';
import { systemTimers, type Timer } from '../../runtime/time/timers.js';
import type { ParentChannel } from './parent-channel.js';

/** How often readiness is compared until it is reached (`up` waits for it), and afterwards. */
const POLL_MS = { starting: 100, ready: 2_000 };

/**
 * Sends `model` and `readiness` events to the parent whenever they have changed, until `cancel`.
 * Models report their own changes; readiness has many causes, none of which calls back, so it is
 * polled.
 */
export function reportToParent(sidecar: RunningSidecar, parent: ParentChannel): { cancel(): void } {
  let lastReadiness: string | undefined;
  let isReady = false;
  let lastModels = '';
  let timer: Timer;
  const reportReadiness = () => {
    const notReady = sidecar.view.notReady();
    const { unreached } = sidecar;
    const text = JSON.stringify([notReady, unreached]);
    if (text !== lastReadiness) parent.send({ event: 'readiness', notReady, unreached });
    lastReadiness = text;
    isReady = notReady.length === 0;
  };
  sidecar.onModel(() => {
    const report = sidecar.view.model();
    if (report === undefined) return;
    const models = sidecar.view.models();
    const text = JSON.stringify([report, models]);
    if (text === lastModels) return;
    lastModels = text;
    parent.send({ event: 'model', report, models });
    reportReadiness();
  });
  const poll = () => {
    reportReadiness();
    const delayMs = isReady ? POLL_MS.ready : POLL_MS.starting;
    timer = systemTimers.after(delayMs, poll, { unref: true });
  };
  poll();
  return { cancel: () => timer.cancel() };
}
