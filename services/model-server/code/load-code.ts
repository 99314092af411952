/** Loads the module that `code` of model.yaml names, and makes an executor of what it opens. */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Tensor } from '../../../proto/datatypes.js';
import { ModelSession, type SessionOptions } from '../network/session.js';
import { messageOf } from '../rpc.js';
import { CodeExecutor } from './code-executor.js';
import type { ModelCode, ModelContext, OnnxSession, OpenModel, Tensors, Upstream } from './model-code.js';

/** What is known of the model whose code is loaded. */
export interface CodeSource {
  readonly name: string;
  readonly version: string;
  readonly directory: string;
  /** `code` of model.yaml. */
  readonly code: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly runtime: SessionOptions;
  /** Ms of a monotonic clock. */
  readonly now: () => number;
  /** Epoch ms. */
  readonly wallNow: () => number;
  /** A client of another model service; throws when there is none of this name. */
  readonly upstream: (name: string) => Upstream;
}

/** Rejects with an Error that names the module and what is wrong with it. */
export async function loadCode(source: CodeSource): Promise<CodeExecutor> {
  const path = resolve(source.directory, source.code);
  const sessions: ModelSession[] = [];
  const context: ModelContext = {
    name: source.name,
    version: source.version,
    directory: source.directory,
    settings: source.settings,
    session: async (file) => {
      const session = await ModelSession.load(inside(source.directory, file), source.runtime);
      sessions.push(session);
      return namedTensors(session);
    },
    upstream: source.upstream,
  };
  const release = async (): Promise<void> => {
    for (const session of sessions.splice(0)) await session.release();
  };
  try {
    const module = await importCode(path);
    if (typeof module.open !== 'function') throw new Error("it exports no function 'open'");
    return new CodeExecutor(requireComplete(await module.open(context)), { ...source, release });
  } catch (error) {
    await release();
    throw new Error(`code: ${path}: ${messageOf(error)}`);
  }
}

/** Of each module the sum of what it held when it was imported first. */
const firstSums = new Map<string, string>();

/**
 * The module as its file is now. The runtime keeps what it has imported under its address for the life of the process, so
 * that a file which has changed gets another address; what it imports itself is not read again.
 */
async function importCode(path: string): Promise<{ readonly open?: OpenModel }> {
  const { href } = pathToFileURL(path);
  const content = await readFile(path).catch(() => undefined);
  if (content === undefined) return await import(href); // in the runtime's words
  const sum = createHash('sha256').update(content).digest('hex');
  if (!firstSums.has(href)) firstSums.set(href, sum);
  return await import(firstSums.get(href) === sum ? href : `${href}?sha256=${sum}`);
}

/** A file of the model's own directory. */
function inside(directory: string, file: string): string {
  const path = join(directory, file);
  const way = relative(directory, path);
  if (way.startsWith('..') || isAbsolute(way))
    throw new Error(`'${file}' is outside of the model's directory`);
  return path;
}

function requireComplete(code: ModelCode): ModelCode {
  if (code.execute === undefined && code.stream === undefined)
    throw new Error("what 'open' gives has neither 'execute' nor 'stream'");
  if (code.outputs.length === 0) throw new Error("what 'open' gives has no outputs");
  return code;
}

function namedTensors(session: ModelSession): OnnxSession {
  const all = session.outputs.map((_, i) => i);
  return {
    inputs: session.inputs,
    outputs: session.outputs,
    run: async (given: Tensors): Promise<Tensors> => {
      const inputs = session.inputs.map(({ name }): Tensor => {
        const tensor = given[name];
        if (tensor === undefined) throw new Error(`input '${name}' is missing`);
        return tensor;
      });
      const outputs = await session.run(inputs, all);
      return Object.fromEntries(session.outputs.map(({ name }, i) => [name, outputs[i]!]));
    },
  };
}
