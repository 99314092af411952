/** What the rows on `outrider up` have in common: a mesh file whose models are our own model server, under load. */

import type { ModelInferRequest } from '../../../proto/messages.js';
import { Mesh, type UpFacts } from '../../kit/process/outrider.js';
import { Load, type LoadOptions, type SentCall } from '../faults/load.js';
import type { Trial } from '../faults/row.js';

/** The text of a mesh file, and which of its services is called how. */
export interface UpPlan extends Omit<LoadOptions, 'target'> {
  readonly file: string;
  readonly service: string;
}

export interface UpDrill {
  readonly mesh: Mesh;
  readonly up: UpFacts;
  readonly load: Load;
  readonly target: string;
}

/** Runs the mesh, and does `work` while calls go through it; all these calls. */
export async function upDrill(
  trial: Trial,
  { file, service, ...options }: UpPlan,
  work: (drill: UpDrill) => Promise<void>,
): Promise<readonly SentCall[]> {
  const mesh = Mesh.start(file);
  try {
    const up = await mesh.ready();
    const target = up.call[service]!;
    const load = await Load.start({ ...options, target });
    try {
      return await trial.under(load, () => work({ mesh, up, load, target }));
    } finally {
      await load.stop().catch(() => {});
    }
  } finally {
    await mesh.discard();
  }
}

/** Asks the model of `putLoopModel` to count so far. */
export function counting(steps: number, model_name = 'loop'): ModelInferRequest {
  const raw = Buffer.alloc(8);
  raw.writeBigInt64LE(BigInt(Math.round(steps)));
  return { model_name, inputs: [{ name: 'n', datatype: 'INT64', shape: [] }], raw_input_contents: [raw] };
}
