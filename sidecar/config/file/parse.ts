/**
 * Reading a configuration file's text: either a complete, frozen configuration, or every problem with it.
 *
 * Nothing here touches the file system; load.ts does.
 */
import { dirname, isAbsolute, relative, sep } from 'node:path';
import type * as z from 'zod';
import { deepFreeze } from '../freeze.js';
import { completed, meshConfig } from '../implied-caller.js';
import { meshWarnings, sidecarWarnings } from '../lint/warnings.js';
import type { MeshConfig, SidecarConfig } from '../model.js';
import { fromFile } from '../names-codec.js';
import type { AdoptedProxy } from '../options/consul/adopt.js';
import { meshFile } from '../options/mesh-file.js';
import { sidecarFile } from '../options/sidecar-file.js';
import type { Path, Problem, Warning } from '../problem.js';
import { didYouMean } from '../suggest.js';
import { asksForAdoption, unreadRegistration, whyNotFor, withAdopted } from './adopted.js';
import { explain, problemAt } from './explain.js';
import { cardHint, foreignFile } from './foreign-file.js';
import { blocksBelow, blocksWith } from './placement.js';
import { readYaml } from './yaml-document.js';

/** Warnings are about files that are valid and perhaps not what was meant. */
export type ParseResult<T> =
  | { readonly ok: true; readonly config: T; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** The two kinds of file that `validate` reads. */
export type FileKind = 'sidecar' | 'mesh';

/** `baseDir` is what relative paths in the file are relative to; by default the directory of `fileName`. */
export interface ParseOptions {
  readonly baseDir?: string;
  /** What the registration says that `consul.adopt` names. Absent: it has not been read, and counts as saying what is left out. */
  readonly adopted?: AdoptedProxy | undefined;
  /**
   * Why a directory of models cannot be served; undefined: it can. Absent: directories are not looked at, as where the file is for another
   * machine.
   */
  readonly directoryProblem?: ((directory: string) => string | undefined) | undefined;
  /** Where a directory of models is that is not there: that of a file which came with the program, and was copied. */
  readonly shippedDirectory?: ((directory: string) => string | undefined) | undefined;
}

/** Reads the text of a sidecar file, which `outrider sidecar -c` takes. */
export function parseSidecarFile(
  text: string,
  fileName: string,
  { baseDir = dirname(fileName), adopted }: ParseOptions = {},
): ParseResult<SidecarConfig> {
  return parseFile(text, fileName, {
    kind: 'sidecar',
    schema: sidecarFile,
    adopted,
    build: (said) => ({ config: fromFile(sidecarFile, said, baseDir), warnings: sidecarWarnings(said) }),
  });
}

/** Reads the text of a mesh file, which `outrider up` takes. What it implies is filled in. */
export function parseMeshFile(
  text: string,
  fileName: string,
  { baseDir = dirname(fileName), directoryProblem, shippedDirectory = () => undefined }: ParseOptions = {},
): ParseResult<MeshConfig> {
  return parseFile(text, fileName, {
    kind: 'mesh',
    schema: meshFile,
    build: (said) => {
      const file = completed(said);
      const { config, warnings } = withShipped(meshConfig(file, baseDir), shippedDirectory);
      const unusable = directoryProblem === undefined ? [] : directoryProblems(config, directoryProblem);
      const problems = [...unusable, ...inRunDirectory(config)];
      return { config, problems, warnings: [...meshWarnings(file), ...warnings] };
    },
  });
}

/** The mesh with directories of models that are elsewhere, and a warning for each. */
function withShipped(
  config: MeshConfig,
  shipped: (directory: string) => string | undefined,
): { config: MeshConfig; warnings: Warning[] } {
  const warnings: Warning[] = [];
  const services = config.services.map((service): MeshConfig['services'][number] => {
    const { name, server } = service;
    const dir = server.kind === 'models' ? shipped(server.dir) : undefined;
    if (server.kind !== 'models' || dir === undefined) return service;
    const path = ['services', name, 'models'];
    warnings.push({ path, message: `no such directory; taking the one that came with the program: ${dir}` });
    return { ...service, server: { ...server, dir } };
  });
  return { config: { ...config, services }, warnings };
}

/** One for each service whose directory of models cannot be served. */
function directoryProblems(
  { services }: MeshConfig,
  problemOf: (directory: string) => string | undefined,
): Warning[] {
  return services.flatMap(({ name, server }) => {
    const message = server.kind === 'models' ? problemOf(server.dir) : undefined;
    return message === undefined ? [] : [{ path: ['services', name, 'models'], message }];
  });
}

/** What has to last lies in no directory that is emptied. */
function inRunDirectory({ runDir, audit, stateDir }: MeshConfig): Warning[] {
  const lasting: readonly [Path, string | undefined][] = [
    [['audit', 'directory'], audit?.directory],
    [['state_dir'], stateDir],
  ];
  return lasting.flatMap(([path, directory]) => {
    if (runDir === undefined || directory === undefined || !isWithin(directory, runDir)) return [];
    return [
      { path, message: `found ${directory} in run_dir, which is emptied at the end; expected another place` },
    ];
  });
}

function isWithin(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/** A file of either kind; `kind` is absent when the text does not tell. */
export function parseAnyFile(
  text: string,
  fileName: string,
  options: ParseOptions = {},
): { readonly kind?: FileKind; readonly result: ParseResult<unknown> } {
  const yaml = readYaml(text, fileName);
  if (!yaml.ok) return { result: yaml };
  const { value } = yaml.document;
  const foreign = foreignFile(value);
  if (foreign !== undefined)
    return { result: { ok: false, problems: [problemAt(yaml.document, fileName, [], foreign)] } };
  const kind = kindOf(value);
  if (kind === 'mesh') return { kind, result: parseMeshFile(text, fileName, options) };
  if (kind === 'sidecar') return { kind, result: parseSidecarFile(text, fileName, options) };
  const message =
    cardHint(value) ??
    `expected a mesh file, which has services, or a sidecar file, which has service${nearMiss(value)}`;
  return { result: { ok: false, problems: [problemAt(yaml.document, fileName, [], message)] } };
}

/** Nothing when the top level says neither, or both. */
function kindOf(value: unknown): FileKind | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const has = (key: string): boolean => Object.hasOwn(value, key);
  const mesh = has('services') || has('caller');
  const sidecar = has('service') || has('inbound') || has('outbound') || asksForAdoption(value);
  if (mesh === sidecar) return undefined;
  return mesh ? 'mesh' : 'sidecar';
}

/** The keys of which one tells the kind of a file, in the order in which a near one is taken for them. */
const TELLING = ['services', 'service', 'caller', 'inbound', 'outbound'];

/** For a text without any of them: the first key that is nearly one. */
function nearMiss(value: unknown): string {
  if (typeof value !== 'object' || value === null || TELLING.some((key) => Object.hasOwn(value, key)))
    return '';
  for (const key of Object.keys(value)) {
    const hint = didYouMean(key, TELLING);
    if (hint !== '') return `; found "${key}"${hint}`;
  }
  return '';
}

const OTHER_KIND = {
  sidecar: 'found a mesh file; expected a sidecar file; for a whole mesh use "outrider up"',
  mesh: 'found a sidecar file; expected a mesh file; for one sidecar use "outrider sidecar -c"',
};

/**
 * For an option that belongs elsewhere: further down in the block at `path`, or of one at the top, below a block of the file or in the other
 * kind of file. Where another option is `near`, that is more likely than a place below a block.
 */
function placeHint(kind: FileKind, path: Path, option: string, near: string): string {
  if (path.length > 0) {
    const below = near === '' ? blocksBelow(kind === 'mesh' ? meshFile : sidecarFile, path, option) : [];
    return below.length === 0 ? near : `; set it in ${below.join(' or ')}`;
  }
  const [own, other, otherName] =
    kind === 'mesh' ? [meshFile, sidecarFile, 'a sidecar file'] : [sidecarFile, meshFile, 'a mesh file'];
  if (Object.hasOwn(other.shape, option)) return `; it is an option of ${otherName}`;
  if (near !== '') return near;
  const here = blocksWith(own, option);
  if (here.length > 0) return `; set it in ${here.join(' or ')}`;
  const there = blocksWith(other, option);
  return there.length === 0 ? '' : `; in ${otherName}, set it in ${there.join(' or ')}`;
}

interface Built<T> {
  readonly config: T;
  /** What the schema cannot see. */
  readonly problems?: readonly Warning[];
  readonly warnings: readonly Warning[];
}

interface Format<S extends z.ZodType, T> {
  readonly kind: FileKind;
  readonly schema: S;
  readonly adopted?: AdoptedProxy | undefined;
  build(said: z.output<S>): Built<T>;
}

function parseFile<S extends z.ZodType, T>(
  text: string,
  fileName: string,
  { kind, schema, adopted, build }: Format<S, T>,
): ParseResult<T> {
  const yaml = readYaml(text, fileName);
  if (!yaml.ok) return yaml;
  let { document } = yaml;
  const foreign = foreignFile(document.value);
  if (foreign !== undefined) return { ok: false, problems: [problemAt(document, fileName, [], foreign)] };
  const found = kindOf(document.value);
  if (found !== undefined && found !== kind)
    return { ok: false, problems: [problemAt(document, fileName, [], OTHER_KIND[kind])] };
  const card = found === undefined ? cardHint(document.value) : undefined;
  if (card !== undefined) return { ok: false, problems: [problemAt(document, fileName, [], card)] };
  if (kind === 'sidecar' && asksForAdoption(document.value)) {
    const proxy = adopted ?? unreadRegistration(document.value);
    const why = whyNotFor(document.value, proxy);
    if (why !== undefined) return { ok: false, problems: [problemAt(document, fileName, ['service'], why)] };
    document = document.withValue(withAdopted(document.value, proxy));
  }
  const result = schema.safeParse(document.value);
  if (!result.success) {
    const place = (path: Path, option: string, near: string) => placeHint(kind, path, option, near);
    return { ok: false, problems: explain(result.error.issues, document, { file: fileName, place }) };
  }
  const { config, problems = [], warnings } = build(result.data);
  const placed = (all: readonly Warning[]): Problem[] =>
    all.map(({ path, message }) => problemAt(document, fileName, path, message));
  if (problems.length > 0) return { ok: false, problems: placed(problems) };
  return deepFreeze({ ok: true, config, warnings: placed(warnings) });
}
