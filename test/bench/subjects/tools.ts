/** Where the programs of the benchmark are: installed, or unpacked into `.cache/` by install-peers. */

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { installed } from '../../kit/process/tools.js';
import { ROOT } from './subject.js';

export const UNPACKED = join(ROOT, '.cache/peers');

const FOLDERS = [
  join(UNPACKED, 'usr/sbin'),
  join(UNPACKED, 'usr/bin'),
  '/usr/sbin',
  '/usr/bin',
  '/usr/local/bin',
];

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

/** First match of `pattern` in what the program says about its version. */
export function versionOf(path: string, args: readonly string[], pattern: RegExp): string {
  const said = spawnSync(path, args, { encoding: 'utf8', env: { ...process.env, ...toolEnvironment(path) } });
  return pattern.exec(`${said.stdout}${said.stderr}`)?.[1] ?? 'of unknown version';
}

/** The short id of the checked-out commit. */
export function gitRevision(): string {
  try {
    return execFileSync('git', ['-C', ROOT, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}
