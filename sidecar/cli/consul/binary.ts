import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CommandFailure, oneLine } from '../failure.js';
import { onPath, unpackDebianPackage, whyNoApt } from './apt-package.js';

const run = promisify(execFile);

/** The oldest supported Consul. */
const OLDEST = [1, 8] as const;
const VERSION_LIMIT_MS = 20_000;

/** A Consul program that runs on this machine. */
export interface ConsulBinary {
  readonly path: string;
  /** Such as `1.8.7`. */
  readonly version: string;
}

export interface FindOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Cache folder; Consul is unpacked into `consul/` in it when it has to be downloaded. */
  readonly cache: string;
  /** Called with one line before a download, which takes about half a minute. */
  onInstall?(line: string): void;
}

/**
 * Finds Consul, in this order: `CONSUL_BIN`, `PATH`, the cache, a download of Debian's package
 * 1.8.7 into the cache. Each candidate is run with `version`, so that another program of that name
 * is not taken for Consul. Only `up --consul dev` and tests need the program; sidecars use the HTTP
 * API of an agent.
 *
 * @throws CommandFailure that states what to install when there is none and none can be downloaded.
 */
export async function findConsul(options: FindOptions): Promise<ConsulBinary> {
  const present = await presentConsul(options);
  if (present !== undefined) return present;
  const unpacked = unpackedIn(options.cache);
  const program = join(unpacked, PROGRAM);
  await download(unpacked, options);
  const version = await versionOf(program);
  if (version === undefined)
    throw new CommandFailure(`${program} does not run on this machine. ${WHAT_TO_DO}`);
  return { path: program, version };
}

/**
 * As `findConsul`, and undefined in the place of a download.
 *
 * @throws CommandFailure where CONSUL_BIN names no Consul, or one that is too old.
 */
export async function presentConsul({
  env,
  cache,
}: Pick<FindOptions, 'env' | 'cache'>): Promise<ConsulBinary | undefined> {
  const asked = env['CONSUL_BIN'];
  if (asked !== undefined && asked !== '') return askedFor(asked);
  for (const path of [...onPath('consul', env), join(unpackedIn(cache), PROGRAM)]) {
    const version = await versionOf(path);
    if (version !== undefined && isRecentEnough(version)) return { path, version };
  }
  return undefined;
}

const PROGRAM = join('usr', 'bin', 'consul');

function unpackedIn(cache: string): string {
  return join(cache, 'consul', 'bullseye');
}

const WHAT_TO_DO = `Install Consul ${OLDEST.join('.')} or newer and put it on PATH, or name it in CONSUL_BIN.`;

async function askedFor(path: string): Promise<ConsulBinary> {
  const version = await versionOf(path);
  if (version === undefined)
    throw new CommandFailure(`CONSUL_BIN: ${path} is not a Consul program that runs here`);
  if (!isRecentEnough(version))
    throw new CommandFailure(
      `CONSUL_BIN: ${path} is Consul ${version}; ${OLDEST.join('.')} or newer is needed`,
    );
  return { path, version };
}

async function download(target: string, { env, onInstall }: FindOptions): Promise<void> {
  const obstacle = whyNoApt(env);
  if (obstacle !== undefined)
    throw new CommandFailure(
      `there is no Consul here, and it can only be brought on Debian: ${obstacle}. ${WHAT_TO_DO}`,
    );
  onInstall?.(`there is no Consul here: bringing Debian's package of 1.8.7 into ${target}`);
  try {
    await unpackDebianPackage({ name: 'consul', target, env });
  } catch (error) {
    throw new CommandFailure(`Consul could not be brought (${oneLine(error)}). ${WHAT_TO_DO}`);
  }
}

/**
 * Version of the Consul program at `path`; undefined when it does not exist, does not run or is
 * another program.
 */
async function versionOf(path: string): Promise<string | undefined> {
  try {
    accessSync(path, constants.X_OK);
    const { stdout } = await run(path, ['version'], { timeout: VERSION_LIMIT_MS });
    return /^Consul v(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}

function isRecentEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}
