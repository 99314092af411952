import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readGoldenCard } from '../../config/file/golden-card.js';
import { listModelFolders } from '../../health/model/model-directory.js';
import { attempt } from '../../runtime/attempt.js';
import { oneLine } from '../failure.js';
import { requireModelRuntime } from '../model-runtime.js';
import { type Finding, failed, ok } from './finding.js';
import type { Subject } from './subject.js';

/** The model directories of a file: a network or code, and a card with a golden input, for the newest version of each model. */
export function checkModels({ models, kind }: Subject): Finding[] {
  const found = models.flatMap(({ service, dir }) => checkDirectory(service, dir));
  // A sidecar file says where models lie, not that this machine serves them.
  return kind === 'mesh' && models.length > 0 ? [runtimeFinding(), ...found] : found;
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
function checkDirectory(service: string, dir: string): Finding[] {
  try {
    const folders = listModelFolders(dir);
    if (folders.length === 0)
      return [
        failed(
          'model',
          `${service}: ${dir} has no model`,
          'a model is DIR/NAME/VERSION/model.onnx: `outrider init`',
        ),
      ];
    return folders.map(({ name, version, card }) => checkModel({ of: `${service}: ${name}`, version, card }));
  } catch (error) {
    return [failed('model', `${service}: ${oneLine(error)}`, 'check `models` of the service')];
  }
}

/** One model, with the card of its newest version. */
interface Checked {
  readonly of: string;
  readonly version: string;
  readonly card: string;
}

/**
 * What a model needs to be served and probed: a version, a network or code, and a card with a golden input. Whether the golden
 * output is right is what the running sidecar finds out, with the model loaded.
 */
function checkModel({ of, version, card }: Checked): Finding {
  if (version === '')
    return failed('model', `${of} has no version`, 'put it into a folder with a number: NAME/1/model.onnx');
  const folder = dirname(card);
  const hasNetwork = attempt(() => readdirSync(folder), []).some((name) => /\.(onnx|m?js)$/.test(name));
  if (!hasNetwork)
    return failed('model', `${of}, version ${version}: no model.onnx in ${folder}`, 'copy it there');
  if (!existsSync(card))
    return failed(
      'model',
      `${of}, version ${version}: no ${join(folder, 'model.yaml')}`,
      '`outrider init` writes one',
    );
  try {
    readGoldenCard(card);
    return ok('model', `${of}, version ${version}: has its files and a golden input`);
  } catch (error) {
    return failed(
      'model',
      `${of}, version ${version}: ${oneLine(error)}`,
      '`outrider golden` writes the block',
    );
  }
}
