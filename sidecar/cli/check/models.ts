import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { readGoldenCard } from '../../config/file/golden-card.js';
import { listModelFolders } from '../../health/model/model-directory.js';
import { attempt } from '../../runtime/attempt.js';
import { oneLine } from '../failure.js';
import { requireModelRuntime } from '../model-runtime.js';
import { type Finding, failed, ok } from './finding.js';
import { type Provable, proveModels } from './golden.js';
import type { Subject } from './subject.js';

/**
 * The model directories of a file: a network or code, and a card with a golden input, for the newest version of each model. Where the
 * sidecars of the file run (`isRunning`) they have proven their models themselves; else the models of a mesh file are run once.
 */
export async function checkModels(
  { models, kind }: Subject,
  { isRunning }: { readonly isRunning: boolean },
): Promise<Finding[]> {
  const seen = models.flatMap(({ service, dir }) => checkDirectory(service, dir));
  const findings = seen.map(({ finding }) => finding);
  // A sidecar file says where models lie, not that this machine serves them.
  if (kind !== 'mesh' || models.length === 0) return findings;
  const runtime = runtimeFinding();
  if (isRunning || runtime.level !== 'ok') return [runtime, ...findings];
  const proven = await proveModels(seen.flatMap(({ provable }) => provable ?? []));
  return [
    runtime,
    ...seen.flatMap(({ finding, provable }) => (provable === undefined ? [finding] : [])),
    ...proven,
  ];
}

/** What the files of a model say, and where it can be run. */
interface Seen {
  readonly finding: Finding;
  readonly provable?: Provable;
}

/** Our own model server needs the inference runtime, which is a package of its own. */
function runtimeFinding(): Finding {
  try {
    requireModelRuntime();
    return ok('model', 'the inference runtime is installed');
  } catch (error) {
    const [what = '', next = ''] = oneLine(error).split('; ');
    return failed('model', what, next);
  }
}

/** Every model of one directory. A directory that cannot be read, or holds no model, is a finding of its own. */
function checkDirectory(service: string, dir: string): Seen[] {
  try {
    const folders = listModelFolders(dir);
    if (folders.length === 0)
      return [
        {
          finding: failed(
            'model',
            `${service}: ${dir} has no model`,
            'a model is DIR/NAME/VERSION/model.onnx: `outrider init`',
          ),
        },
      ];
    return folders.map(({ name, version, card }) => checkModel({ of: `${service}: ${name}`, version, card }));
  } catch (error) {
    return [{ finding: failed('model', `${service}: ${oneLine(error)}`, 'check `models` of the service') }];
  }
}

/** One model, with the card of its newest version. */
interface Checked {
  readonly of: string;
  readonly version: string;
  readonly card: string;
}

/** What a model needs to be served and probed: a version, a network or code, and a card with a golden input. */
function checkModel({ of, version, card }: Checked): Seen {
  const wrong = (what: string, next: string): Seen => ({ finding: failed('model', what, next) });
  if (version === '')
    return wrong(`${of} has no version`, 'put it into a folder with a number: NAME/1/model.onnx');
  const which = `${of}, version ${version}`;
  const folder = dirname(card);
  const hasNetwork = attempt(() => readdirSync(folder), []).some((name) => /\.(onnx|m?js)$/.test(name));
  if (!hasNetwork) return wrong(`${which}: no model.onnx in ${folder}`, 'copy it there');
  if (!existsSync(card))
    return wrong(`${which}: no ${join(folder, 'model.yaml')}`, '`outrider init` writes one');
  try {
    readGoldenCard(card);
  } catch (error) {
    return wrong(`${which}: ${oneLine(error)}`, '`outrider golden` writes the block');
  }
  return {
    finding: ok('model', `${which}: has its files and a golden input`),
    provable: { of: which, directory: resolve(folder) },
  };
}
