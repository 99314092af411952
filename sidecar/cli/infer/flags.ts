import { readDuration } from '../../config/codecs/duration.js';
import { CommandFailure } from '../failure.js';
import { runningMeshes } from '../up/run-directory.js';
import type { InferOptions } from './infer.js';

/** Flags of `outrider infer`, as commander parses them. */
export interface InferFlags {
  readonly input: readonly string[];
  readonly target?: string;
  readonly deadline?: string;
  readonly modelVersion?: string;
  readonly metadata: readonly string[];
  readonly json?: true;
  readonly stream?: true;
}

/**
 * Options of the command from its flags; without --target, the address of the mesh that runs on
 * this machine.
 */
export function inferFlags(model: string, flags: InferFlags): InferOptions {
  const target = flags.target ?? runningTarget(model);
  return {
    model,
    inputs: flags.input,
    metadata: flags.metadata,
    json: flags.json === true,
    stream: flags.stream === true,
    ...(target === undefined ? {} : { target }),
    ...(flags.deadline === undefined ? {} : { deadlineMs: deadlineOf(flags.deadline) }),
    ...(flags.modelVersion === undefined ? {} : { version: flags.modelVersion }),
  };
}

function deadlineOf(text: string): number {
  const read = readDuration(text);
  if (!read.ok) throw new CommandFailure(`--deadline: ${read.problem}`, 2);
  return read.value;
}

/**
 * Address of the upstream with the model's name in one of the running meshes, or of the only upstream of them all; undefined where no mesh
 * runs. Among several of other names the command does not guess.
 */
function runningTarget(model: string): string | undefined {
  const called = runningMeshes().flatMap(({ call }) => Object.entries(call));
  const named = called.find(([name]) => name === model) ?? (called.length === 1 ? called[0] : undefined);
  if (named !== undefined || called.length === 0) return named?.[1];
  const all = called.map(([name, address]) => `${name} at ${address}`).join(', ');
  throw new CommandFailure(
    `no upstream here is called "${model}"; there are ${all}: which one, by --target ADDR?`,
    2,
  );
}
