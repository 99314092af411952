import { mkdir, open, readdir, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDirectory } from '../../runtime/process/directory.js';
import type { IdentityParts, IdentityPaths } from '../identity.js';

const CURRENT = '..data';
const FILES = { cert: 'cert.pem', key: 'key.pem', roots: 'roots.pem' } as const;

/**
 * A directory with `cert.pem`, `key.pem` and `roots.pem`, replaced as a whole: the three names are
 * links into `..data`, a link that one rename moves from the old set of files to the new one (as
 * Kubernetes does for secrets). Files have mode 0600 and directories 0700 from the moment they
 * exist.
 */
export class CertificateDirectory {
  readonly paths: IdentityPaths;
  private generation = 0;
  /** Directories of sets on disk, oldest first; the last is current. */
  private sets: string[] = [];

  private constructor(private readonly directory: string) {
    this.paths = {
      cert: join(directory, FILES.cert),
      key: join(directory, FILES.key),
      roots: join(directory, FILES.roots),
    };
  }

  /** Creates `parent/name`, without the files of an earlier run. */
  static async create(parent: string, name: string): Promise<CertificateDirectory> {
    makeDirectory(parent, 0o700);
    const directory = join(parent, name);
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { mode: 0o700 });
    return new CertificateDirectory(directory);
  }

  /** Writes a set and makes it current. On failure the set before it stays current. */
  async write(parts: IdentityParts): Promise<void> {
    this.generation++;
    const name = `..set-${this.generation}`;
    const set = join(this.directory, name);
    const link = join(this.directory, `${CURRENT}-${this.generation}`);
    try {
      await mkdir(set, { mode: 0o700 });
      await writeSecret(join(set, FILES.cert), parts.certChainPem);
      await writeSecret(join(set, FILES.key), parts.keyPem);
      await writeSecret(join(set, FILES.roots), parts.rootsPem);
      await symlink(name, link);
      await rename(link, join(this.directory, CURRENT));
    } catch (error) {
      await rm(link, { force: true });
      await rm(set, { recursive: true, force: true });
      throw error;
    }
    if (this.sets.length === 0) await this.linkNames();
    await this.forget(name);
  }

  /** Removes it with all sets. */
  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }

  private async linkNames(): Promise<void> {
    const present = new Set(await readdir(this.directory));
    for (const file of Object.values(FILES)) {
      if (!present.has(file)) await symlink(join(CURRENT, file), join(this.directory, file));
    }
  }

  /**
   * Removes old sets, except the one before the current, which may be in the middle of being read.
   */
  private async forget(current: string): Promise<void> {
    this.sets.push(current);
    while (this.sets.length > 2) {
      const oldest = this.sets.shift()!;
      await rm(join(this.directory, oldest), { recursive: true, force: true });
    }
  }
}

async function writeSecret(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
}
