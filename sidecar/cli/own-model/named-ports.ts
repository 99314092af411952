import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadMeshFile } from '../../config/file/load.js';
import type { Address } from '../../config/model.js';

/** The TCP ports at which the callers of the mesh files in this folder listen, whether the meshes run or not. */
export function portsNamedIn(folder: string): ReadonlySet<number> {
  const files = readdirSync(folder).filter((name) => /\.ya?ml$/.test(name));
  const addresses = files.flatMap((file): (Address | undefined)[] => {
    const read = loadMeshFile(join(folder, file));
    if (!read.ok) return [];
    const { admin, shared, upstreams } = read.config.caller;
    return [admin, shared?.listen, ...upstreams.map(({ listen }) => listen)];
  });
  return new Set(addresses.flatMap((address) => (address?.kind === 'tcp' ? [address.port] : [])));
}
