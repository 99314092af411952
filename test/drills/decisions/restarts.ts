/** The sidecar of the caller ends, as planned and not: the one place of a mesh that has no other to take its calls. */

import { setTimeout as delay } from 'node:timers/promises';
import { STOCK_CHANNEL } from '../../../sidecar/cli/chaos/protocol/call.js';
import { meshFile } from '../../kit/config/mesh-file.js';
import { admin, type Mesh } from '../../kit/process/outrider.js';
import { isRunning } from '../../kit/process/processes.js';
import { digitRequest } from '../faults/digit-load.js';
import { type SentCall, summarize } from '../faults/load.js';
import { failuresOf, type Trial } from '../faults/row.js';
import { measure, seconds } from '../faults/times.js';
import type { DecisionRow } from './drill.js';
import { type UpDrill, upDrill } from './up-drill.js';

const PER_SECOND = 200;
const DEADLINE_MS = 5_000;
const READY_MS = 30_000;
/** Between two restarts. */
const REST_MS = 300;
/** After a kill, until the client has seen that its connection is gone. */
const UNSEEN_MS = 50;

const callerRestart: DecisionRow = {
  name: 'caller-restart',
  fault: 'the sidecar of the caller is restarted, by SIGTERM and by a takeover, and killed',
  run: async (_, trial) => {
    // Attempts may take long: what is shown is not how fast this machine is.
    const file = meshFile({ replicas: 3, attemptTimeout: '4s' });
    const load = {
      perSecond: PER_SECOND,
      deadlineMs: DEADLINE_MS,
      channel: STOCK_CHANNEL,
      request: digitRequest,
    };
    await upDrill(trial, { file, service: 'digits', ...load }, async (drill) => {
      await planned(trial, drill, trial.pick(2, 10));
      await killed(trial, drill, trial.pick(1, 5));
    });
  },
};

/** By SIGTERM and by POST /takeover in turn. */
async function planned(trial: Trial, { mesh, up, load }: UpDrill, times: number): Promise<void> {
  const fromMs = performance.now();
  for (let i = 0; i < times; i++) {
    const pid = pidOf(mesh);
    if (i % 2 === 0) process.kill(pid, 'SIGTERM');
    else await admin(up.admin, '/takeover', 'POST');
    const tookMs = await measure(() => !isRunning(pid) && isRunning(pidOf(mesh)), READY_MS);
    if (tookMs === undefined) trial.expect(`restart ${i + 1} is over`, false, 'it is not');
    await delay(REST_MS);
  }
  const calls = await load.between(fromMs);
  const { failed, sent, slowestMs } = summarize(calls);
  const found = `${failed} of ${sent} failed, the slowest ${seconds(slowestMs)}`;
  trial.figure(`${times} planned restarts`, found);
  trial.noneFailed(`no call fails in ${times} planned restarts`, calls);
}

async function killed(trial: Trial, { mesh, load }: UpDrill, times: number): Promise<void> {
  let lost = 0;
  const late: SentCall[] = [];
  let sent = 0;
  for (let i = 0; i < times; i++) {
    const pid = pidOf(mesh);
    const atMs = performance.now();
    process.kill(pid, 'SIGKILL');
    await measure(() => pidOf(mesh) !== pid && isRunning(pidOf(mesh)), READY_MS);
    await delay(REST_MS);
    const before = await load.between(atMs - 1_000, atMs + UNSEEN_MS);
    const after = await load.between(atMs + UNSEEN_MS);
    lost += summarize(before).failed;
    late.push(...after.filter(({ failure }) => failure !== undefined));
    sent += before.length + after.length;
  }
  const found = `${lost} in flight and ${late.length} new ones of ${sent} failed`;
  trial.figure(`killed ${times} times`, found);
  trial.expect('new calls wait until the next one accepts', late.length === 0, failuresOf(summarize(late)));
}

/** Of the sidecar of the caller now. */
const pidOf = (mesh: Mesh): number => mesh.pidOf('client');

export const RESTART_ROWS: readonly DecisionRow[] = [callerRestart];
