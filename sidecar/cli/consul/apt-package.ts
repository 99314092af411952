import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { makeDirectory } from '../../runtime/process/directory.js';

const run = promisify(execFile);

const SUITE = 'bullseye';
const KEYRINGS = [
  '/usr/share/keyrings/debian-archive-keyring.gpg',
  '/usr/share/keyrings/debian-archive-keyring.pgp',
];
/** For each command of apt and dpkg. */
const LIMIT_MS = 300_000;

export interface AptPackage {
  readonly name: string;
  /** Folder for the package's own tree (`usr/bin/…`); parents are created. */
  readonly target: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Why this machine cannot unpack a Debian package, as half a sentence; undefined when it can. */
export function whyNoApt(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const missing = ['apt-get', 'dpkg'].find((command) => !onPath(command, env).some(existsSync));
  if (missing !== undefined) return `this machine has no ${missing}`;
  if (keyring() === undefined) return "this machine lacks Debian's keyring (package debian-archive-keyring)";
  return undefined;
}

/**
 * Downloads a package of Debian 11 (bullseye) and unpacks it into `target`, for this user alone and
 * without root. apt works with lists, cache and sources in a private folder; the mirror is one of
 * the system's own sources, and the archive's signature is checked against the system's Debian
 * keyring.
 *
 * Safe to run in several processes at once: each works in its own folder, and the first to finish
 * renames it to `target`.
 *
 * @throws Error with the last message of the command that failed.
 */
export async function unpackDebianPackage({ name, target, env }: AptPackage): Promise<void> {
  const parent = join(target, '..');
  makeDirectory(parent);
  await removeAbandoned(parent, name);
  const work = await mkdtemp(join(parent, `.${name}-`));
  try {
    await download(name, work, env);
    const file = (await readdir(work)).find((entry) => entry.endsWith('.deb'));
    if (file === undefined) throw new Error(`apt-get brought no package ${name}`);
    await command('dpkg', ['-x', join(work, file), join(work, 'tree')], work, env);
    await moveIntoPlace(join(work, 'tree'), target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/**
 * Removes folders of interrupted downloads. A running download is younger than three times the
 * command limit.
 */
async function removeAbandoned(parent: string, name: string): Promise<void> {
  for (const entry of await readdir(parent)) {
    if (!entry.startsWith(`.${name}-`)) continue;
    const folder = join(parent, entry);
    const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > 3 * LIMIT_MS) await rm(folder, { recursive: true, force: true });
  }
}

async function download(name: string, work: string, env: AptPackage['env']): Promise<void> {
  const mirrors = await debianMirrors(work, env);
  if (mirrors.length === 0) throw new Error("the apt sources of this machine name no archive of Debian's");
  makeDirectory(join(work, 'lists', 'partial'));
  makeDirectory(join(work, 'archives', 'partial'));
  let problem: unknown;
  for (const mirror of mirrors) {
    try {
      await writeFile(join(work, 'sources.list'), `deb [signed-by=${keyring()}] ${mirror} ${SUITE} main\n`);
      await command('apt-get', [...ownState(work), 'update'], work, env);
      await command('apt-get', [...ownState(work), 'download', name], work, env);
      return;
    } catch (error) {
      problem = error;
    }
  }
  throw problem;
}

/**
 * URIs of the main archives in the system's sources, in order; security archives have other suites.
 */
async function debianMirrors(work: string, env: AptPackage['env']): Promise<string[]> {
  const args = ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'];
  const out = await command('apt-get', args, work, env);
  const all = new Set(out.split('\n').map((line) => line.trim()));
  return [...all].filter((uri) => /\/debian(\/|$)/.test(uri));
}

/**
 * apt options that keep all state in `work`, which needs no root. For root they also keep apt from
 * downloading as the user `_apt`, which cannot read a private folder.
 */
function ownState(work: string): string[] {
  const options = [
    `Dir::Etc::SourceList=${join(work, 'sources.list')}`,
    'Dir::Etc::SourceParts=-',
    'Dir::Etc::Preferences=-',
    'Dir::Etc::PreferencesParts=-',
    `Dir::State::Lists=${join(work, 'lists')}`,
    `Dir::Cache=${work}`,
    `Dir::Cache::Archives=${join(work, 'archives')}`,
    'Acquire::Languages=none',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false',
    'Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false',
    'APT::Sandbox::User=root',
    'APT::Update::Error-Mode=any',
  ];
  return ['-q', ...options.flatMap((option) => ['-o', option])];
}

async function command(
  file: string,
  args: readonly string[],
  cwd: string,
  env: AptPackage['env'],
): Promise<string> {
  try {
    const options = { cwd, env: { ...env, LC_ALL: 'C' }, timeout: LIMIT_MS, maxBuffer: 16 << 20 };
    return (await run(file, args, options)).stdout;
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string };
    throw new Error(`${file}: ${lastMessage(stderr) ?? message.split('\n')[0]}`);
  }
}

/** apt's error line (`E: …`), else the last line. */
function lastMessage(stderr: string): string | undefined {
  const lines = stderr.split('\n').flatMap((line) => line.trim() || []);
  const error = lines.find((line) => line.startsWith('E:'));
  return error?.slice(2).trim() ?? lines.at(-1);
}

/** A target that exists by now was unpacked by another process. */
async function moveIntoPlace(tree: string, target: string): Promise<void> {
  try {
    await rename(tree, target);
  } catch (error) {
    if (!existsSync(target)) throw error;
  }
}

function keyring(): string | undefined {
  return KEYRINGS.find((file) => existsSync(file));
}

/** Where a program of this name would be found on PATH, in this order. */
export function onPath(name: string, env: AptPackage['env']): string[] {
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name));
}
