/** The licence texts of what an image takes from this machine: they have to go where the programs go. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Debian's packages refer to texts that several of them share. */
const SHARED = /\/usr\/share\/common-licenses\/[A-Za-z0-9.+-]*[A-Za-z0-9]/g;

/**
 * Absolute paths of the licence texts of a program or library of this machine: the copyright file of its Debian package with the shared
 * texts that it names, or a LICENSE beside its folder, as the archives of Node have it. Empty where there is none.
 */
export function licencesOf(file: string): string[] {
  const owner = debianOwner(file);
  const copyright = owner === undefined ? undefined : `/usr/share/doc/${owner}/copyright`;
  if (copyright !== undefined && existsSync(copyright)) {
    const shared = sharedTexts(readFileSync(copyright, 'utf8')).filter(existsSync);
    return [copyright, ...shared];
  }
  return [join(dirname(dirname(file)), 'LICENSE')].filter(existsSync);
}

/** The texts below common-licenses that a copyright file names, each once. */
export function sharedTexts(copyright: string): string[] {
  return [...new Set(copyright.match(SHARED) ?? [])];
}

/** The package of `dpkg -S`: `libc6` of `libc6:amd64: /lib/…/libc.so.6`. Diversions are no owners. */
export function ownerIn(answer: string): string | undefined {
  const line = answer.split('\n').find((each) => !each.startsWith('diversion by '));
  return /^([a-z0-9][a-z0-9+.-]+)(?::[a-z0-9-]+)?(?:,[^:]*)?: \//.exec(line ?? '')?.[1];
}

/** The package that a file belongs to. Since /lib is a link to /usr/lib, dpkg may know a file by either name. */
function debianOwner(file: string): string | undefined {
  const real = realpathSync(file);
  for (const path of new Set([file, real, real.replace(/^\/usr\//, '/'), join('/usr', file)]))
    try {
      const owner = ownerIn(
        execFileSync('dpkg', ['-S', path], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
      );
      if (owner !== undefined) return owner;
    } catch {
      // not known by this name, or not a Debian
    }
  return undefined;
}
