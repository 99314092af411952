import { readDuration } from '../../config/codecs/duration.js';
import { CommandFailure } from '../failure.js';
import { meshesHere } from '../up/chosen-meshes.js';
import type { RunNote } from '../up/run-directory.js';
import type { InferOptions } from './infer.js';

/** Flags of `outrider infer`, as commander parses them. */
export interface InferFlags {
  readonly input: readonly string[];
  readonly target?: string;
  readonly mesh?: string;
  readonly deadline?: string;
  readonly modelVersion?: string;
  readonly metadata: readonly string[];
  readonly json?: true;
  readonly stream?: true;
}

/**
 * Options of the command from its flags; without --target, the address of the mesh of --mesh or of
 * this folder.
 */
export function inferFlags(model: string, flags: InferFlags, meshesOf = meshesHere): InferOptions {
  const { mesh } = flags;
  if (mesh !== undefined && flags.target !== undefined)
    throw new CommandFailure('found both --target and --mesh; expected one of them', 2);
  const target = flags.target ?? runningTarget(model, meshesOf(mesh));
  if (mesh !== undefined && target === undefined) throw new CommandFailure(`no mesh of ${mesh} runs here`);
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
 * Address of the upstream with the model's name in the running meshes, or of the only upstream of them all; undefined where no mesh
 * runs. Among several of that name, or of other names, the command does not guess.
 */
export function runningTarget(model: string, meshes: readonly RunNote[]): string | undefined {
  const called = meshes.flatMap(({ call, meshFile }) =>
    Object.entries(call).map(([name, address]) => ({ name, address, meshFile })),
  );
  const named = called.filter(({ name }) => name === model);
  const [only, ...others] = named.length > 0 ? named : called;
  if (others.length === 0) return only?.address;
  const said =
    named.length > 0
      ? `several meshes here have an upstream "${model}": ${named.map(({ address, meshFile }) => `${address} of ${meshFile}`).join(', ')}`
      : `no upstream here is called "${model}"; there are ${called.map(({ name, address }) => `${name} at ${address}`).join(', ')}`;
  throw new CommandFailure(`${said}: name one with --target ADDR or --mesh FILE`, 2);
}
