/** A shell puts the home directory in place of `~`; a file has no shell. */
export function isOfHome(path: string): boolean {
  return path === '~' || path.startsWith('~/');
}

export const NO_HOME =
  'in which "~" is not replaced: write the home directory itself, or "./~" for one of that name';
