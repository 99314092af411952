/** Which installed packages a program needs: what it depends on, and what those depend on, by a package-lock.json. */

/** The part of package-lock.json that is read. Keys are folders such as `node_modules/a/node_modules/b`. */
export interface Lock {
  readonly packages: Readonly<
    Record<string, { readonly dependencies?: Readonly<Record<string, string>> } | undefined>
  >;
}

/**
 * Folders of the packages `names` and of all that they depend on, sorted. A package below another one is found before the one
 * that all share, as Node does it.
 *
 * @throws Error for a package that is not in the lock.
 */
export function lockClosure({ packages }: Lock, names: readonly string[]): string[] {
  const found = new Set<string>();
  const add = (name: string, from: string): void => {
    const folder = foldersOf(name, from).find((each) => packages[each] !== undefined);
    if (folder === undefined) throw new Error(`package-lock.json has no ${name}, which ${from} needs`);
    if (found.has(folder)) return;
    found.add(folder);
    for (const next of Object.keys(packages[folder]!.dependencies ?? {})) add(next, folder);
  };
  for (const name of names) add(name, '');
  return [...found].sort();
}

/** Where Node looks for `name` from the package in `from`: below it first, then beside it, up to the root. */
function foldersOf(name: string, from: string): string[] {
  const parts = from === '' ? [] : from.split('/node_modules/');
  const parents = parts.map((_, i) => parts.slice(0, parts.length - i).join('/node_modules/'));
  return [...parents.map((parent) => `${parent}/node_modules/${name}`), `node_modules/${name}`];
}
