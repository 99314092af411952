import { basename } from 'node:path';
import { present } from '../../config/present.js';
import type { RunNote } from './run-directory.js';

/** A sidecar of a mesh of `up`, by a name that no other one here has. */
export interface NamedSidecar {
  readonly name: string;
  /** `host:port` of its admin server. */
  readonly admin: string;
  /** Log file of it and its models. */
  readonly log?: string;
  /** Several meshes have a sidecar of this instance name, and `name` says which mesh is meant. */
  readonly isOfSeveral?: true;
}

/**
 * The sidecars of meshes, in their order. Where two meshes have a `digits-1`, they are `digits-1 (demo.yaml)` and `digits-1 (two.yaml)`,
 * and `digits-1 (demo.yaml, process 7)` where their files have one name: what is done to a sidecar by its name must not
 * reach that of another mesh, and what is counted of both is not one history.
 */
export function namedSidecars(meshes: readonly RunNote[]): NamedSidecar[] {
  const count = (all: readonly string[], one: string) => all.filter((each) => each === one).length;
  const instances = meshes.flatMap(({ admin }) => Object.keys(admin));
  const files = meshes.map(({ meshFile }) => basename(meshFile));
  return meshes.flatMap(({ admin, meshFile, pid, logs = {} }) => {
    const file = basename(meshFile);
    const mesh = count(files, file) === 1 ? file : `${file}, process ${pid}`;
    return Object.entries(admin).map(([name, address]) => {
      const where = { admin: address, ...present('log', logs[name]) };
      return count(instances, name) === 1
        ? { name, ...where }
        : { name: `${name} (${mesh})`, ...where, isOfSeveral: true as const };
    });
  });
}
