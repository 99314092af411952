/** The sidecar of the caller ends, as planned and not: the one place of a mesh that has no other to take its calls. */

import { setTimeout as delay } from 'node:timers/promises';
import type { ModelInferRequest } from '../../../proto/messages.js';
import { heldOut, PIXELS } from '../../../services/digits/dataset.js';
import { meshFile } from '../../kit/config/mesh-file.js';
import { admin, Mesh, type UpFacts } from '../../kit/process/outrider.js';
import { isRunning } from '../../kit/process/processes.js';
import { Load, type SentCall, summarize } from '../faults/load.js';
import { failuresOf, measure, seconds, type Trial } from '../faults/row.js';
import type { DecisionRow } from './drill.js';

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
    const mesh = Mesh.start(
      meshFile({ replicas: 3 }).replace('attempt_timeout: 500ms', 'attempt_timeout: 4s'),
    );
    try {
      const up = await mesh.ready();
      const load = await Load.start({
        target: up.call['digits']!,
        perSecond: PER_SECOND,
        deadlineMs: DEADLINE_MS,
        isStock: true,
        request: aDigit,
      });
      const restarts = new Restarts(mesh, up, load, trial);
      try {
        await trial.under(load, async () => {
          await restarts.planned(trial.pick(2, 10));
          await restarts.killed(trial.pick(1, 5));
        });
      } finally {
        await load.stop().catch(() => {});
      }
    } finally {
      await mesh.discard();
    }
  },
};

class Restarts {
  constructor(
    private readonly mesh: Mesh,
    private readonly up: UpFacts,
    private readonly load: Load,
    private readonly trial: Trial,
  ) {}

  /** By SIGTERM and by POST /takeover in turn. */
  async planned(times: number): Promise<void> {
    const fromMs = performance.now();
    for (let i = 0; i < times; i++) {
      const pid = this.pid();
      if (i % 2 === 0) process.kill(pid, 'SIGTERM');
      else await admin(this.up.admin, '/takeover', 'POST');
      const tookMs = await measure(() => !isRunning(pid) && isRunning(this.pid()), READY_MS);
      if (tookMs === undefined) this.trial.expect(`restart ${i + 1} is over`, false, 'it is not');
      await delay(REST_MS);
    }
    const calls = await this.load.between(fromMs, performance.now());
    const { failed, sent, slowestMs } = summarize(calls);
    this.trial.figure(
      `${times} planned restarts`,
      `${failed} of ${sent} failed, the slowest ${seconds(slowestMs)}`,
    );
    this.trial.noneFailed(`no call fails in ${times} planned restarts`, calls);
  }

  async killed(times: number): Promise<void> {
    const lost: SentCall[] = [];
    const late: SentCall[] = [];
    let sent = 0;
    for (let i = 0; i < times; i++) {
      const pid = this.pid();
      const atMs = performance.now();
      process.kill(pid, 'SIGKILL');
      await measure(() => this.pid() !== pid && isRunning(this.pid()), READY_MS);
      await delay(REST_MS);
      const before = await this.load.between(atMs - 1_000, atMs + UNSEEN_MS);
      const after = await this.load.between(atMs + UNSEEN_MS, performance.now());
      lost.push(...failedOf(before));
      late.push(...failedOf(after));
      sent += before.length + after.length;
    }
    const { trial } = this;
    trial.figure(
      `killed ${times} times`,
      `${lost.length} in flight and ${late.length} new ones of ${sent} failed`,
    );
    trial.expect('new calls wait until the next one accepts', late.length === 0, failuresOf(summarize(late)));
  }

  /** Of the sidecar now, as `up` said last. */
  private pid(): number {
    const said = this.mesh.events.findLast(
      (event) => event['name'] === 'client' && pidIn(event) !== undefined,
    );
    return pidIn(said)!;
  }
}

function pidIn(event: Record<string, unknown> | undefined): number | undefined {
  return (event?.['process'] as { readonly pid?: number } | undefined)?.pid;
}

function failedOf(calls: readonly SentCall[]): SentCall[] {
  return calls.filter(({ failure }) => failure !== undefined);
}

const digits = heldOut();

function aDigit(n: number): ModelInferRequest {
  const { pixels } = digits[n % digits.length]!;
  const raw = new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  return {
    model_name: 'digits',
    inputs: [{ name: 'pixels', datatype: 'FP32', shape: ['1', String(PIXELS)] }],
    raw_input_contents: [raw],
  };
}

export const RESTART_ROWS: readonly DecisionRow[] = [callerRestart];
