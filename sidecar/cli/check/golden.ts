import { statSync } from 'node:fs';
import { join } from 'node:path';
import { oneLine } from '../failure.js';
import { AuthoringProcess } from '../own-model/authoring-process.js';
import { type Finding, failed, ok } from './finding.js';

/** A model whose files are there. */
export interface Provable {
  /** `SERVICE: NAME, version N`, for the finding. */
  readonly of: string;
  /** Absolute, with model.yaml and model.onnx. */
  readonly directory: string;
}

/** A network that takes longer to load belongs on the machine that serves it, not into a look. */
const MAX_BYTES = 256 * 1024 * 1024;
/** For all models together: a check is run again and again. */
const LIMIT_MS = 10_000;

/**
 * Runs each model once on its golden input, in a process of its own, as a server does before it serves it: a file can be there and be cut
 * off, or be another one than its card was written for. What is large, in code, or does not fit into the time is said to be not run.
 *
 * @param limitMs for all together, ms; default 10,000.
 */
export async function proveModels(models: readonly Provable[], limitMs = LIMIT_MS): Promise<Finding[]> {
  const endMs = Date.now() + limitMs;
  const findings: Finding[] = [];
  for (const model of models) findings.push(await prove(model, endMs - Date.now()));
  return findings;
}

async function prove({ of, directory }: Provable, leftMs: number): Promise<Finding> {
  const notRun = (why: string) => ok('model', `${of}: has its files and a golden input (not run: ${why})`);
  const bytes = statSync(join(directory, 'model.onnx'), { throwIfNoEntry: false })?.size;
  if (bytes === undefined) return notRun('it is code');
  if (bytes > MAX_BYTES) return notRun('it is large');
  if (leftMs <= 0) return notRun('others took the time');
  const author = AuthoringProcess.start();
  const limit = new Promise<undefined>((resolve) => {
    setTimeout(() => resolve(undefined), leftMs).unref();
  });
  try {
    const answer = await Promise.race([author.ask<'prove'>({ ask: 'prove', directory }, directory), limit]);
    if (answer === undefined) return notRun('it takes long to load');
    return answer.isRun ? ok('model', `${of}: gives its golden output`) : notRun('only a server runs it');
  } catch (error) {
    return failed(
      'model',
      `${of}: ${oneLine(error)}`,
      'another file than model.yaml was written for: copy the right one, or `outrider golden` takes this one',
    );
  } finally {
    author.close();
  }
}
