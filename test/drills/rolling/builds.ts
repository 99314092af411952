/** Two builds of the program side by side, and a place where one of them is installed: what an upgrade has to do with. */
import { type ExecFileSyncOptions, execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from '../../kit/process/outrider.js';

/** The version before, where no tag names one: a commit whose sidecars know rollouts and keep states of models. */
const COMMIT_BEFORE = 'eee47adfdd371e032f85cbd0635851167e41572d';

/** What is built says so where errors go: the answer of a program is its output. */
const TOLD: ExecFileSyncOptions['stdio'] = ['ignore', 2, 2];

/** One build of the whole project. */
export interface Build {
  /** Short and for people. */
  readonly name: string;
  /** The folder with `dist/`. */
  readonly root: string;
}

export const PRESENT: Build = { name: 'this version', root: REPOSITORY };

/**
 * The version before: of `OUTRIDER_BEFORE` (a commit), else of the latest tag, else of the constant here. Built once, into
 * `.cache/before`. For `before` hooks: the suite is skipped, said loudly, where it cannot be built.
 */
export function buildBeforeOrSkip(context: Mocha.Context): Build {
  context.timeout(600_000);
  const wanted = process.env['OUTRIDER_BEFORE'] ?? latestTag() ?? COMMIT_BEFORE;
  if (commitOf(wanted) !== undefined) return buildOf(wanted);
  process.stderr.write(`\nSKIPPING THE VERSION BEFORE: ${missing(wanted)}\n`);
  return context.skip();
}

const missing = (wanted: string): string => `this clone does not have ${wanted}; git fetch --unshallow`;

const commitOf = (wanted: string): string | undefined =>
  ask('git', ['rev-parse', '--verify', '--quiet', `${wanted}^{commit}`]);

/** Built once, into `.cache/before`. @throws Error where this clone does not have it, or it does not build. */
export function buildOf(wanted: string): Build {
  const commit = commitOf(wanted);
  if (commit === undefined) throw new Error(missing(wanted));
  const root = join(REPOSITORY, '.cache/before', commit);
  // Otherwise it would run with packages that it was not made for.
  const hasOurs = ask('git', ['diff', '--quiet', commit, 'HEAD', '--', 'package-lock.json']) !== undefined;
  const packages = hasOurs ? linkPackages : installPackages;
  if (!existsSync(join(root, 'built'))) build(commit, root, packages);
  packages(root);
  return { name: `version ${commit.slice(0, 8)}`, root };
}

/** Whether this version knows rollouts, and states of models that outlive a sidecar. */
export function knowsRollouts({ root }: Build): boolean {
  return existsSync(join(root, 'dist/sidecar/core/models/rollout.js'));
}

/** Where a service manager finds the program: a link to one build after the other. */
export class Installation {
  constructor(private readonly link: string) {}

  /** The command of the program, whichever build it is. */
  get command(): readonly string[] {
    return [process.execPath, join(this.link, 'dist/sidecar/main.js')];
  }

  /** Whatever starts from now on is this build. */
  install({ root }: Build): void {
    const next = `${this.link}.next`;
    symlinkSync(root, next);
    renameSync(next, this.link);
  }
}

function build(commit: string, root: string, packages: (root: string) => void): void {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  const run: ExecFileSyncOptions = { cwd: root, stdio: TOLD, timeout: 500_000 };
  execFileSync('sh', ['-c', `git -C "$0" archive ${commit} | tar -x`, REPOSITORY], run);
  packages(root);
  execFileSync('npm', ['run', '-s', 'build'], run);
  mkdirSync(join(root, 'built'));
}

/** Of this clone, which may be another one than the last time. */
function linkPackages(root: string): void {
  rmSync(join(root, 'node_modules'), { recursive: true, force: true });
  symlinkSync(join(REPOSITORY, 'node_modules'), join(root, 'node_modules'));
}

/** Its own, by its own lockfile, once. */
function installPackages(root: string): void {
  const packages = join(root, 'node_modules');
  if (lstatSync(packages, { throwIfNoEntry: false })?.isDirectory() === true) return;
  rmSync(packages, { force: true });
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: root, stdio: TOLD, timeout: 400_000 });
}

function latestTag(): string | undefined {
  return ask('git', ['describe', '--tags', '--abbrev=0', 'HEAD^']);
}

/** What it writes; undefined: it fails. */
function ask(command: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(command, args, { cwd: REPOSITORY, encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return undefined;
  }
}
