import { basename } from 'node:path';
import type { RunNote } from './run-directory.js';

/** A sidecar of a mesh of `up`, by a name that no other one here has. */
export interface NamedSidecar {
  readonly name: string;
  /** `host:port` of its admin server. */
  readonly admin: string;
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
  return meshes.flatMap(({ admin, meshFile, pid }) => {
    const file = basename(meshFile);
    const mesh = count(files, file) === 1 ? file : `${file}, process ${pid}`;
    return Object.entries(admin).map(([name, address]) =>
      count(instances, name) === 1
        ? { name, admin: address }
        : { name: `${name} (${mesh})`, admin: address, isOfSeveral: true as const },
    );
  });
}
