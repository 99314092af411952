/** The package as it is installed: packed by `npm run pack`, unpacked into a folder, with what it depends on beside it. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from './package-root.js';

/** What is in the tarball. */
export interface Packed {
  readonly bytes: number;
  readonly paths: readonly string[];
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  /** When it stands in standard error, the program gets SIGTERM. */
  readonly stopAt?: RegExp | undefined;
  /** Default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
  /** Then it is killed. Default 60 s. */
  readonly limitMs?: number;
}

/** Runs a program to its end. */
export function run(
  command: string,
  args: readonly string[],
  cwd: string,
  { stopAt, env = process.env, limitMs = 60_000 }: RunOptions = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { cwd, env, timeout: limitMs }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr });
    });
    let said = '';
    child.stderr?.on('data', (chunk: string) => {
      said += chunk;
      if (stopAt?.test(said)) child.kill('SIGTERM');
    });
  });
}

/** The `package.json` in a folder, or its lock file. */
export const readPackage = (where: string, file = 'package.json') =>
  JSON.parse(readFileSync(path.join(where, file), 'utf8'));

/**
 * Installs the package into `folder` as npm would, without the inference runtime; `installed` is where it lies, and the
 * command is in `node_modules/.bin`. Both tarballs lie in `folder`.
 */
export async function installPacked(folder: string): Promise<{ packed: Packed; installed: string }> {
  const pack = [path.join(packageRoot, 'dist/tools/pack/main.js'), '--out', folder];
  const { code, stdout, stderr } = await run(process.execPath, pack, packageRoot, { limitMs: 150_000 });
  assert.equal(code, 0, stderr);
  const [archive] = stdout.split('\n') as [string];
  const installed = path.join(folder, 'node_modules', 'outrider');
  mkdirSync(installed, { recursive: true });
  const unpacked = await run('tar', ['xzvf', archive, '--strip-components=1', '-C', installed], folder);
  assert.equal(unpacked.code, 0, unpacked.stderr);
  for (const name of Object.keys(readPackage(installed).dependencies)) linkDependency(folder, name);
  mkdirSync(path.join(folder, 'node_modules/.bin'));
  const command = path.join(folder, 'node_modules/.bin/outrider');
  symlinkSync('../outrider/dist/sidecar/main.js', command);
  chmodSync(path.join(installed, 'dist/sidecar/main.js'), 0o755); // as npm does
  const paths = unpacked.stdout.trim().split('\n');
  const packed = { bytes: statSync(archive).size, paths: paths.map((name) => name.replace('package/', '')) };
  return { packed, installed };
}

/** Puts a dependency beside the package. Packages find what they need themselves where the link leads. */
export function linkDependency(folder: string, name: string): void {
  const to = path.join(folder, 'node_modules', name);
  mkdirSync(path.dirname(to), { recursive: true });
  symlinkSync(path.join(packageRoot, 'node_modules', name), to);
}
