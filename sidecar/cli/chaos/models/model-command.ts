/** `outrider chaos-model`, which `outrider chaos` starts (or a sidecar of its mesh): one model process of a drill. */

import { join } from 'node:path';
import { replicaName } from '../protocol/behaviour.js';
import { ControlledModel } from './controlled-model.js';
import { loadDigits } from './digits.js';
import { ExecutionLog } from './execution-log.js';
import { DrillModelServer } from './model-server.js';

export interface ModelOptions {
  /** Folder of the run: the control socket and the logs lie in it. */
  readonly dir: string;
  /** From 1. */
  readonly replica: string;
  /** `host:port`. */
  readonly listen: string;
}

/** As long as a container platform usually waits is not needed: the longest run takes 0.4 s, a stream 1 s. */
const DRAIN_MS = 2_000;

/** Runs until it is stopped by a signal or the command is gone. @returns never. */
export async function modelCommand({ dir, replica, listen }: ModelOptions): Promise<never> {
  const n = Number(replica);
  const control = await ControlledModel.connect(dir, { replica: n, pid: process.pid });
  // As a process whose model file is damaged: it starts, finds that out, and ends.
  if (control.behaviour.does === 'refuse-to-start') process.exit(1);
  const log = new ExecutionLog(join(dir, `${replicaName(n)}.log`));
  const server = new DrillModelServer(n, await loadDigits(), log);
  server.behave(control.behaviour);
  control.onChange = (behaviour) => server.behave(behaviour);
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => void server.stop(DRAIN_MS).then(() => process.exit(0)));
  // The control channel says that it serves only once it can be called, so that no drill begins too early.
  await server.listen(listen);
  control.ready();
  return new Promise<never>(() => {});
}
