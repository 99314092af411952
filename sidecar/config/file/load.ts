/**
 * Reading configuration files from disk. The only part of the configuration that touches the file system.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import type { MeshConfig, SidecarConfig } from '../model.js';
import type { AdoptedProxy } from '../options/consul/adopt.js';
import type { Problem } from '../problem.js';
import {
  type ParseOptions,
  type ParseResult,
  parseAnyFile,
  parseMeshFile,
  parseSidecarFile,
} from './parse.js';
import { MAX_FILE_BYTES } from './yaml-document.js';

/** Relative paths in the file become absolute ones, so that processes started elsewhere read the same. */
export function loadSidecarFile(path: string, adopted?: AdoptedProxy): ParseResult<SidecarConfig> {
  return load(path, (text, fileName, options) => parseSidecarFile(text, fileName, { ...options, adopted }));
}

/** What a file names beside itself. */
export interface Named {
  /**
   * `required`: a directory of models that is not on this machine, or has no model, is a problem of the file. `directory`: an empty one is
   * not, as the models of a running mesh may all have been removed.
   */
  readonly models: 'required' | 'directory' | 'unread';
  /** Folder of the mesh files that came with the program: a copy of one finds its models there, where they are not beside the copy. */
  readonly shipped?: string;
}

/** The same for a mesh file. */
export function loadMeshFile(path: string, named: Named = { models: 'unread' }): ParseResult<MeshConfig> {
  return load(path, (text, fileName, options) =>
    parseMeshFile(text, fileName, { ...options, ...lookingAt(named, dirname(resolve(path))) }),
  );
}

/** Reads a file of either kind, as its content tells. Only a mesh file says what this machine serves. */
export function loadAnyFile(
  path: string,
  named: Named = { models: 'unread' },
): ReturnType<typeof parseAnyFile> {
  const read = readText(path);
  if (!read.ok) return { result: read };
  const baseDir = dirname(resolve(path));
  return parseAnyFile(read.text, path, { baseDir, ...lookingAt(named, baseDir) });
}

function lookingAt(
  { models, shipped }: Named,
  baseDir: string,
): Pick<ParseOptions, 'directoryProblem' | 'shippedDirectory'> {
  const shippedDirectory = (directory: string): string | undefined => {
    if (shipped === undefined || existsSync(directory)) return undefined;
    const path = relative(baseDir, directory);
    const found = resolve(shipped, path);
    // Models lie beside the folder of mesh files. What else a path leads to did not come with the program.
    const isShipped = path.startsWith('../') && found.startsWith(`${dirname(resolve(shipped))}/`);
    return isShipped && existsSync(found) ? found : undefined;
  };
  if (models === 'unread') return { shippedDirectory };
  return { shippedDirectory, directoryProblem: (path) => directoryProblem(path, models === 'required') };
}

function directoryProblem(path: string, needsModel: boolean): string | undefined {
  try {
    if (!statSync(path).isDirectory())
      return `${path} is not a directory; expected a directory of models, each as NAME/VERSION/model.onnx`;
    return !needsModel || hasModel(path)
      ? undefined
      : `${path}: found no models; expected NAME/VERSION/model.onnx below it`;
  } catch (error) {
    const why = reason(error) === 'no such file' ? 'no such directory' : reason(error);
    return `${path}: ${why}; expected a directory of models, relative to this file`;
  }
}

/** A model without a numbered version is not served. */
function hasModel(directory: string): boolean {
  const names = readdirSync(directory).filter((name) => !name.startsWith('.'));
  return names.some((name) => foldersIn(join(directory, name)).some((version) => /^[1-9]\d*$/.test(version)));
}

function foldersIn(path: string): readonly string[] {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map(({ name }) => name);
}

function load<T>(
  path: string,
  parse: (text: string, fileName: string, options: ParseOptions) => ParseResult<T>,
): ParseResult<T> {
  const read = readText(path);
  return read.ok ? parse(read.text, path, { baseDir: dirname(resolve(path)) }) : read;
}

type Read =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly problems: readonly Problem[] };

function readText(path: string): Read {
  let bytes: Buffer;
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) return refused(path, 'is a directory; expected a file');
    if (!stat.isFile()) return refused(path, 'is a device, pipe or socket; expected a file');
    if (stat.size > MAX_FILE_BYTES)
      return refused(path, `found ${stat.size} bytes; expected at most ${MAX_FILE_BYTES} (1MiB)`);
    bytes = readFileSync(path);
  } catch (error) {
    return refused(path, reason(error));
  }
  try {
    return { ok: true, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return refused(path, 'is not UTF-8 text');
  }
}

function refused(file: string, message: string): Read {
  return { ok: false, problems: [{ file, path: '', message }] };
}

function reason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'no such file';
  if (code === 'ENOTDIR') return 'no such file: a part of its path is not a directory';
  if (code === 'EACCES' || code === 'EPERM') return 'may not be read by this user';
  return `cannot be read (${typeof code === 'string' ? code : String(error)})`;
}
