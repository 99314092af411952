/** Which mesh `outrider chaos --mesh` is about: the admin addresses of its sidecars. */

import { resolve } from 'node:path';
import { readAddress, writeAddress } from '../../../config/codecs/address.js';
import type { Address } from '../../../config/model.js';
import { CommandFailure } from '../../failure.js';
import type { RunNote } from '../../up/run-directory.js';

export interface MeshTargets {
  /** For messages and the report. */
  readonly what: string;
  readonly admin: readonly Address[];
}

/**
 * Finds the mesh.
 *
 * @param where absent: the one mesh that `up` runs here; a mesh file of a running mesh; or admin addresses, separated by commas, of
 * which one is enough for a mesh that `up` runs here.
 * @throws CommandFailure(2) where it is not clear which mesh is meant, or none is.
 */
export function meshTargets(where: string | undefined, running: readonly RunNote[]): MeshTargets {
  if (where === undefined) return theOnly(running);
  const byFile = running.find(({ meshFile }) => resolve(meshFile) === resolve(where));
  if (byFile !== undefined) return targetsOf(byFile);
  const addresses = where.split(',').map((text) => readAddress(bare(text)));
  const wrong = addresses.find((read) => !read.ok);
  if (wrong !== undefined && !wrong.ok) {
    const files = running.map(({ meshFile }) => meshFile).join(', ') || 'none';
    throw new CommandFailure(
      `--mesh: found ${where}; expected the file of a mesh that runs here (${files}), or admin addresses such as 127.0.0.1:8890`,
      2,
    );
  }
  const admin = addresses.flatMap((read) => (read.ok ? [read.value] : []));
  const texts = admin.map(writeAddress);
  const byAddress = running.find((mesh) =>
    Object.values(mesh.admin).some((text) => texts.includes(bare(text))),
  );
  return byAddress === undefined ? { what: texts.join(', '), admin } : targetsOf(byAddress);
}

function theOnly(running: readonly RunNote[]): MeshTargets {
  const [first, second] = running;
  if (first === undefined)
    throw new CommandFailure('no mesh of `outrider up` runs here; name one: --mesh HOST:PORT,HOST:PORT,…', 2);
  if (second !== undefined)
    throw new CommandFailure(
      `${running.length} meshes run here; name one: ${running.map(({ meshFile }) => `--mesh ${meshFile}`).join(', ')}`,
      2,
    );
  return targetsOf(first);
}

function targetsOf({ meshFile, admin }: RunNote): MeshTargets {
  const addresses = Object.values(admin).flatMap((text) => {
    const read = readAddress(bare(text));
    return read.ok ? [read.value] : [];
  });
  return { what: meshFile, admin: addresses };
}

/** As `up` prints an address, and as a file has it. */
function bare(text: string): string {
  return text.replace(/^http:\/\//, '').replace(/\/$/, '');
}
