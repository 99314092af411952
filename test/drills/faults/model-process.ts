/** Starts models of fixed service time, faults-model.ts, as processes that end with this one. */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ChildProcessHandle } from '../../../sidecar/supervise/child-process.js';
import { until } from '../../kit/process/processes.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const PROGRAM = ['model.js', 'model.ts'].map((name) => join(HERE, name)).find(existsSync)!;

/** A model that runs, and its port. */
export interface ModelProcess {
  readonly process: ChildProcessHandle;
  readonly port: number;
}

/** On a free loopback port, or the given one; resolves when it listens. */
export async function startModel(serviceMs: number, port = 0): Promise<ModelProcess> {
  let said = '';
  let ended: string | undefined;
  const argv = [process.execPath, ...process.execArgv, PROGRAM, `127.0.0.1:${port}`, String(serviceMs)];
  const model = new ChildProcessHandle(argv, {
    env: process.env,
    stdout: 'pipe',
    stderr: 2,
    onExit: (how) => {
      ended = how;
    },
  });
  model.output?.on('data', (text: Buffer) => {
    said += text.toString();
  });
  const port_ = await until('the model listens', () => /listening on (\d+)/.exec(said)?.[1] ?? ended);
  if (ended !== undefined) throw new Error(`the model ${ended}`);
  return { process: model, port: Number(port_) };
}
