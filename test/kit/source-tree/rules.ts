/**
 * The import rules of the design, as functions from a tree of source files to complaints.
 */
import assert from 'node:assert/strict';
import { packageOf, type SourceFile } from './source-file.js';

/** Where each vendor package may be imported in production code: files, or folders that end with a slash. */
export type VendorTable = Readonly<Record<string, readonly string[]>>;

/** A file that may use an ambient thing although it lies outside the places for it. */
export interface AmbientException {
  readonly file: string;
  readonly names: readonly string[];
  readonly because: string;
}

/** One sentence each: `FILE:LINE: what is wrong`. */
export type Complaints = readonly string[];

/** Fails with the complaints, one a line, if there are any. */
export function none(complaints: Complaints): void {
  if (complaints.length > 0) assert.fail(`\n${complaints.join('\n')}`);
}

const isIn = (path: string, place: string): boolean =>
  place.endsWith('/') ? path.startsWith(place) : path === place;
const isInOneOf = (path: string, places: readonly string[]): boolean =>
  places.some((place) => isIn(path, place));
const isProduction = (file: SourceFile): boolean => !file.path.startsWith('test/');

/** `folder` imports only from itself: no other file, no package, not even Node's own modules. */
export function importsOnlyItself(files: readonly SourceFile[], folder: string): Complaints {
  return complain(
    files.filter((file) => file.path.startsWith(folder)),
    ({ target, isRelative }) =>
      isRelative && target.startsWith(folder)
        ? undefined
        : `imports ${target}; ${folder} imports only ${folder}`,
  );
}

/** `folder` is a package of its own: no relative import leads into it or out of it, except from tests. */
export function importsNothingAcross(files: readonly SourceFile[], folder: string): Complaints {
  return complain(files.filter(isProduction), ({ target, isRelative }, file) =>
    isRelative && isIn(target, folder) !== isIn(file.path, folder)
      ? `imports ${target}; ${folder} is a package of its own`
      : undefined,
  );
}

/** Every relative import leads to a file of the tree. */
export function importsWhatExists(files: readonly SourceFile[]): Complaints {
  const known = new Set(files.map(({ path }) => path));
  return complain(files, ({ target, isRelative }) => {
    if (!isRelative || known.has(target) || target.endsWith('.json')) return undefined;
    return `imports ${target}, which is not there`;
  });
}

/** Which folder may import which, as data; see import-rules.ts. */
export interface LayerRules {
  readonly layers: readonly (readonly string[])[];
  readonly foundations: Readonly<Record<string, readonly string[]>>;
  readonly narrowLayers: Readonly<Record<string, readonly string[]>>;
  readonly adminImporters: readonly string[];
}

/** Files of `sidecar/` import from layers below their own, and from the foundations that their row allows. */
export function importsDownwards(files: readonly SourceFile[], rules: LayerRules): Complaints {
  const layerOf = (folder: string): number => rules.layers.findIndex((layer) => layer.includes(folder));
  const isAllowed = (from: string, to: string): boolean => {
    const foundation = rules.foundations[from];
    if (foundation !== undefined) return foundation.includes(to);
    if (rules.foundations[to] === undefined) return layerOf(to) > layerOf(from);
    if (to === 'admin') return rules.adminImporters.includes(from);
    return rules.narrowLayers[from]?.includes(to) ?? true;
  };
  const isKnown = (folder: string): boolean =>
    rules.foundations[folder] !== undefined || layerOf(folder) !== -1;
  const own = files.filter(({ path }) => path.startsWith('sidecar/'));
  const strangers = own
    .filter(({ path }) => !isKnown(layerNameOf(path)))
    .map(({ path }) => `${path}: its folder stands in no row of the import rules`);
  const wrong = complain(own, ({ target, isRelative }, { path }) => {
    const [from, to] = [layerNameOf(path), layerNameOf(target)];
    if (!isRelative || !target.startsWith('sidecar/') || from === to || !isKnown(from)) return undefined;
    return isAllowed(from, to) ? undefined : `imports ${target}; ${from} must not import ${to}`;
  });
  return [...strangers, ...wrong];
}

/** The folder below `sidecar/` that a file belongs to; `outbound.ts` belongs to the layer of `outbound/`. */
function layerNameOf(path: string): string {
  const name = path.split('/')[1] ?? path;
  return name === 'inbound.ts' || name === 'outbound.ts' ? name.slice(0, -3) : name;
}

/** What of one root may import what of another: folders or files, `imported` absent: all of it. */
export interface RootEdge {
  readonly importers: readonly string[];
  readonly imported?: readonly string[];
}

/** Files of one root import from another only where its row allows it, and `edges` where they have `from to`. */
export function importsAllowedRoots(
  files: readonly SourceFile[],
  roots: Readonly<Record<string, readonly string[]>>,
  edges: Readonly<Record<string, RootEdge>>,
): Complaints {
  return complain(files, ({ target, isRelative }, { path }) => {
    const [from, to] = [path.split('/')[0]!, target.split('/')[0]!];
    const allowed = roots[from];
    if (!isRelative || from === to || allowed === undefined) return undefined;
    if (!allowed.includes(to)) return `imports ${target}; ${from}/ must not import ${to}/`;
    const edge = edges[`${from} ${to}`];
    if (edge === undefined) return undefined;
    if (!isInOneOf(path, edge.importers)) return `imports ${target}; only ${edge.importers.join(', ')} may`;
    if (edge.imported === undefined || isInOneOf(target, edge.imported)) return undefined;
    return `imports ${target}; of ${to}/ it may import ${edge.imported.join(', ')}`;
  });
}

/** Pairs of folders with one parent whose files import each other, however deep they lie. */
export function hasNoMutualFolders(files: readonly SourceFile[]): Complaints {
  const examples = new Map<string, string>();
  for (const { path, imports } of files)
    for (const { target, isRelative } of imports) {
      const [from, to] = [path.split('/'), target.split('/')];
      let depth = 0;
      while (depth < from.length && from[depth] === to[depth]) depth++;
      if (!isRelative || from.length - 1 <= depth || to.length - 1 <= depth) continue;
      const pair = `${from.slice(0, depth + 1).join('/')} ${to.slice(0, depth + 1).join('/')}`;
      if (!examples.has(pair)) examples.set(pair, `${path} imports ${target}`);
    }
  return [...examples].flatMap(([pair, example]) => {
    const [a, b] = pair.split(' ') as [string, string];
    const back = examples.get(`${b} ${a}`);
    return a < b && back !== undefined ? [`${a} and ${b} import each other: ${example}, ${back}`] : [];
  });
}

/** Packages in production code stand in the table, and are imported only where it says. */
export function importsVendorsInOnePlace(files: readonly SourceFile[], table: VendorTable): Complaints {
  return complain(files.filter(isProduction), ({ target, isRelative }, file) => {
    const name = isRelative ? undefined : packageOf(target);
    if (name === undefined) return undefined;
    const places = Object.hasOwn(table, name) ? table[name]! : [];
    if (isInOneOf(file.path, places)) return undefined;
    return `imports ${name}; ${places.length === 0 ? 'it is not in the table of packages' : `only ${places.join(', ')} may`}`;
  });
}

/** Rows of the table that name nothing any more. */
export function unusedVendors(files: readonly SourceFile[], table: VendorTable): Complaints {
  const imports = (file: SourceFile, name: string): boolean =>
    file.imports.some(({ target }) => packageOf(target) === name);
  return Object.entries(table).flatMap(([name, places]) =>
    places
      .filter((place) => !files.some((file) => isIn(file.path, place) && imports(file, name)))
      .map((place) => `the table says that ${place} imports ${name}, and it does not`),
  );
}

export function usesAmbientThingsOnlyIn(
  files: readonly SourceFile[],
  places: readonly string[],
  exceptions: readonly AmbientException[],
): Complaints {
  const outside = files.filter((file) => file.path.startsWith('sidecar/') && !isInOneOf(file.path, places));
  const isExcused = (path: string, name: string): boolean =>
    exceptions.some(({ file, names }) => file === path && names.includes(name));
  const rule = `it has to be passed in (only ${places.join(', ')} may)`;
  return outside.flatMap(({ path, ambient }) =>
    ambient
      .filter(({ name }) => !isExcused(path, name))
      .map(({ name, line }) => `${path}:${line}: uses ${name}; ${rule}`),
  );
}

/** Exceptions that nothing needs any more. */
export function unusedExceptions(
  files: readonly SourceFile[],
  exceptions: readonly AmbientException[],
): Complaints {
  return exceptions.flatMap(({ file, names }) => {
    const used = files.find(({ path }) => path === file)?.ambient.map(({ name }) => name) ?? [];
    return names
      .filter((name) => !used.includes(name))
      .map((name) => `${file} is excused for ${name}, and does not use it`);
  });
}

export function hasNoDefaultExports(files: readonly SourceFile[]): Complaints {
  return files.flatMap(({ path, defaultExportLines }) =>
    defaultExportLines.map((line) => `${path}:${line}: exports by default; every export has a name`),
  );
}

/** Groups of files that import each other, types included, each as the path round it. */
export function hasNoCycles(files: readonly SourceFile[]): Complaints {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const trail: string[] = [];
  const complaints: string[] = [];
  const visit = (path: string): void => {
    const file = byPath.get(path);
    if (file === undefined || done.has(path)) return;
    const start = trail.indexOf(path);
    if (start !== -1) {
      complaints.push(`${[...trail.slice(start), path].join(' → ')}: files that import each other`);
      return;
    }
    trail.push(path);
    for (const { target } of file.imports) visit(target);
    trail.pop();
    done.add(path);
  };
  for (const { path } of files) visit(path);
  return complaints;
}

/** For the report: files longer than `limit` lines, the longest first. */
export function longFiles(files: readonly SourceFile[], limit: number): Complaints {
  const long = files.filter(({ lines }) => lines > limit).sort((a, b) => b.lines - a.lines);
  return long.map(({ path, lines }) => `${path}: ${lines} lines`);
}

type Judge = (imported: SourceFile['imports'][number], file: SourceFile) => string | undefined;

function complain(files: readonly SourceFile[], judge: Judge): Complaints {
  return files.flatMap((file) =>
    file.imports.flatMap((imported) => {
      const complaint = judge(imported, file);
      return complaint === undefined ? [] : [`${file.path}:${imported.line}: ${complaint}`];
    }),
  );
}
