/** Where the programs of the benchmark are: installed, or unpacked into `.cache/` by install-peers. */

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { installed, ROOT } from '../../kit/process/tools.js';
import type { Version } from './subject.js';

export const UNPACKED = join(ROOT, '.cache/peers');

const OURS = ['usr/sbin', 'usr/bin'].map((folder) => join(UNPACKED, folder));
const FOLDERS = [...OURS, '/usr/sbin', '/usr/bin', '/usr/local/bin'];

/** Absolute path of a program, or undefined. */
export function findTool(name: string): string | undefined {
  const folders = [...FOLDERS, ...(process.env['PATH'] ?? '').split(':')];
  return folders.map((dir) => join(dir, name)).find((path) => existsSync(path));
}

/** The Envoy that the tests use too, else one on the machine. */
export function findEnvoy(): string | undefined {
  return installed('envoy') ?? findTool('envoy');
}

/** Unpacked programs find their libraries beside them. */
export function toolEnvironment(path: string): Record<string, string> {
  if (!path.startsWith(UNPACKED)) return {};
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  return { LD_LIBRARY_PATH: ['usr/lib', 'lib'].map((dir) => join(UNPACKED, dir, triplet)).join(':') };
}

/** First match of `pattern` in what the program at `path` says about its version; undefined: it is not there. */
export function versionOf(path: string | undefined, args: readonly string[], pattern: RegExp): Version {
  if (path === undefined) return { missing: 'run `npm run bench -- install`' };
  const said = spawnSync(path, args, { encoding: 'utf8', env: { ...process.env, ...toolEnvironment(path) } });
  return { found: pattern.exec(`${said.stdout}${said.stderr}`)?.[1] ?? 'of unknown version' };
}

/** The short id of the checked-out commit. */
export function gitRevision(): string {
  try {
    return execFileSync('git', ['-C', ROOT, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}
