/**
 * What models in code cost: the memory of a model process that serves one; and in a process without a server, how long it
 * loads, the memory it takes, and the CPU time of one request when it runs alone and when several are given to one `execute`.
 * CPU time, because a model runs on one thread and other processes of the machine do not count in it.
 */

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { packageRoot } from '../../kit/process/package-root.js';
import { residentBytes } from '../../kit/process/processes.js';
import { runModels } from '../../kit/service/made-models.js';
import { spawnService, TestClient, untilServing } from '../../kit/service/model-server.js';
import { SUBJECTS } from './subjects.js';

const ROUND_MS = 400;
const QUICK_ROUND_MS = 20;

/** What was measured of one model, and of the model process that serves it. */
export interface ServedModelFigures extends ModelFigures {
  /** Resident memory of the process once the model is ready. */
  readonly processMb: number;
}

/** What was measured of one model. */
export interface ModelFigures {
  readonly name: string;
  readonly loadMs: number;
  /** Resident memory that the model takes: after runs of one request, without what was there before it was loaded. */
  readonly modelMb: number;
  /** The same after the largest batches. */
  readonly batchedMb: number;
  /** Best of several rounds for each number of requests in one run. */
  readonly batches: readonly { readonly size: number; readonly microsecondsEach: number }[];
}

/** Resident memory of a model process that serves this model alone, MB, once it is ready. */
async function processMb(name: string): Promise<number> {
  const socket = join(mkdtempSync(join(tmpdir(), 'outrider-')), 's');
  const models = join(packageRoot, '.cache/models', name);
  const service = spawnService(['--models', models, '--listen', `unix:${socket}`]);
  const client = new TestClient(`unix:${socket}`);
  try {
    await untilServing(client, name);
    return residentBytes([service.child.pid!]) / 1e6;
  } finally {
    client.close();
    service.child.kill();
    await service.exited;
    rmSync(dirname(socket), { recursive: true, force: true });
  }
}

/** Names of the models that can be measured. */
export const MODEL_NAMES = SUBJECTS.map(({ name }) => name);

/** Measures one after the other. Rejects when a model is not there and cannot be made. */
export async function benchModels(
  { only, quick }: { readonly only: ReadonlySet<string>; readonly quick: boolean },
  say: (line: string) => void,
): Promise<ServedModelFigures[]> {
  const wanted = MODEL_NAMES.filter((name) => only.size === 0 || only.has(name));
  const { status, stderr } = runModels(wanted);
  if (status !== 0) throw new Error(stderr.trim());
  const program = fileURLToPath(new URL('model-process.js', import.meta.url));
  const figures: ServedModelFigures[] = [];
  for (const name of wanted) {
    say(name);
    const args = [program, name, String(quick ? QUICK_ROUND_MS : ROUND_MS)];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    figures.push({ ...(JSON.parse(stdout) as ModelFigures), processMb: await processMb(name) });
  }
  return figures;
}

/** One table of loading and memory, one of batches with the gain over single requests. */
export function renderModels(figures: readonly ServedModelFigures[]): string {
  const cell = (text: string | number): string => String(text).padStart(12);
  const sizes = figures[0]?.batches.map(({ size }) => size) ?? [];
  const rows = figures.map(({ name, batches }) => {
    const single = batches[0]!.microsecondsEach;
    const each = batches.map(({ microsecondsEach: us }) =>
      cell(`${us.toFixed(us < 100 ? 1 : 0)} ×${(single / us).toFixed(1)}`),
    );
    return `${name.padEnd(10)}${each.join('')}`;
  });
  return [
    `${''.padEnd(10)}${['load ms', 'process MB', 'model MB', 'batched MB'].map(cell).join('')}`,
    ...figures.map(
      ({ name, loadMs, processMb: process, modelMb, batchedMb }) =>
        `${name.padEnd(10)}${[loadMs, process, modelMb, batchedMb].map((figure) => cell(figure.toFixed(0))).join('')}`,
    ),
    '',
    'CPU µs a request, and the gain over one alone, by requests in one run',
    `${''.padEnd(10)}${sizes.map(cell).join('')}`,
    ...rows,
  ].join('\n');
}
