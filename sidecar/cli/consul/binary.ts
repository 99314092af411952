/**
 * The Consul program: where it is on this machine, or brought here.
 *
 *   CONSUL_BIN → PATH → .cache/consul/ of the clone → Debian's package of Consul 1.8.7, unpacked into .cache/consul/
 *
 * What is found is asked for its version: a program that only has the name is not Consul. Sidecars never need it; it
 * is for `up --consul dev` and for tests.
 */

import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { CommandFailure, oneLine } from '../failure.js';
import { unpackDebianPackage, whyNoApt } from './apt-package.js';

const run = promisify(execFile);

/** The oldest Consul whose Connect Outrider was built for. */
const OLDEST = [1, 8] as const;
const VERSION_LIMIT_MS = 20_000;

export interface ConsulBinary {
  readonly path: string;
  /** Such as `1.8.7`. */
  readonly version: string;
}

export interface FindOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The clone's `.cache`; a `consul` folder in it is made when Consul has to be brought. */
  readonly cache: string;
  /** Told before the download, which takes half a minute; one line. */
  onInstall?(line: string): void;
}

/** Throws a CommandFailure that says what to do when there is none and none can be brought. */
export async function findConsul(options: FindOptions): Promise<ConsulBinary> {
  const { env, cache } = options;
  const asked = env['CONSUL_BIN'];
  if (asked !== undefined && asked !== '') return askedFor(asked);
  const unpacked = join(cache, 'consul', 'bullseye');
  const program = join(unpacked, 'usr', 'bin', 'consul');
  for (const path of [...onPath(env['PATH'] ?? ''), program]) {
    const version = await versionOf(path);
    if (version !== undefined && isRecentEnough(version)) return { path, version };
  }
  await bring(unpacked, options);
  const version = await versionOf(program);
  if (version === undefined)
    throw new CommandFailure(`${program} does not run on this machine. ${WHAT_TO_DO}`);
  return { path: program, version };
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

async function bring(target: string, { env, onInstall }: FindOptions): Promise<void> {
  const hindrance = whyNoApt(env);
  if (hindrance !== undefined)
    throw new CommandFailure(
      `there is no Consul here, and it can only be brought on Debian: ${hindrance}. ${WHAT_TO_DO}`,
    );
  onInstall?.(`there is no Consul here: bringing Debian's package of 1.8.7 into ${target}`);
  try {
    await unpackDebianPackage({ name: 'consul', target, env });
  } catch (error) {
    throw new CommandFailure(`Consul could not be brought (${oneLine(error)}). ${WHAT_TO_DO}`);
  }
}

function onPath(path: string): string[] {
  return path
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, 'consul'));
}

/** Undefined when it is not there, does not run, or is something else. */
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
