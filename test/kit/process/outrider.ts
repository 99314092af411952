/** The program as a user runs it, in tests: one command and its outcome, or a whole mesh with its events. */

import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StatusReport } from '../../../sidecar/admin/status.js';
import { packageRoot } from './package-root.js';
import { isRunning, processesWith, until } from './processes.js';

/** The clone; relative paths of commands start here. */
export const REPOSITORY = packageRoot;

export const DIGITS_MODELS = join(REPOSITORY, 'services/digits/models');

/** argv that runs the program of this build, as a user does: no flag of the tests' own process is handed on. */
export const OUTRIDER = [
  process.execPath,
  fileURLToPath(new URL('../../../sidecar/main.js', import.meta.url)),
];

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function startOutrider(
  args: readonly string[],
  env: Record<string, string> = {},
  cwd = REPOSITORY,
): ChildProcess {
  const [command, ...rest] = [...OUTRIDER, ...args];
  return spawn(command!, rest, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Runs one command to its end. */
export function outrider(args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  return outcomeOf(startOutrider(args, env));
}

/** What `child` has written so far. */
export function outputOf(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.setEncoding('utf8').on('data', (part: string) => {
      output[name] += part;
    });
  return output;
}

export function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const output = outputOf(child);
  return new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, ...output })));
}

export interface SidecarFacts {
  readonly name: string;
  readonly service: string;
  readonly role: 'replica' | 'caller';
  readonly pid: number;
  readonly modelPid?: number;
  readonly inbound?: string;
  readonly admin: string;
  readonly observe?: string;
  readonly log: string;
}

/** What `up --json` says once everything is ready. */
export interface UpFacts {
  readonly runDirectory: string;
  readonly call: Readonly<Record<string, string>>;
  readonly admin: string;
  readonly sidecars: readonly SidecarFacts[];
}

/** A temporary directory of its own, so that what a command leaves behind can be seen. Gone when this process ends, at the latest. */
export class Scratch {
  readonly path = mkdtempSync(join(tmpdir(), 'outrider-test-'));

  constructor() {
    scratches.add(this);
  }

  write(name: string, text: string | Uint8Array): string {
    const file = join(this.path, name);
    writeFileSync(file, text);
    return file;
  }

  removeFile(name: string): void {
    rmSync(join(this.path, name));
  }

  /** Copies a folder. */
  copy(from: string, name: string): void {
    cpSync(from, join(this.path, name), { recursive: true });
  }

  /** Also while a write into it is still under way. */
  remove(): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
    scratches.delete(this);
  }
}

const scratches = new Set<Scratch>();
process.on('exit', () => {
  for (const scratch of scratches) scratch.remove();
});

/** One `outrider up --json`, from start to end. */
export class Mesh {
  readonly outcome: Promise<Outcome>;
  readonly events: Record<string, unknown>[] = [];
  private ended = false;
  private rest = '';
  private readonly child: ChildProcess;

  private constructor(
    private readonly scratch: Scratch,
    args: readonly string[],
    env: Record<string, string> = {},
  ) {
    this.child = startOutrider(['up', '--json', ...args], { ...env, TMPDIR: scratch.path });
    this.child.stdout!.setEncoding('utf8').on('data', (part: string) => this.read(part));
    this.outcome = outcomeOf(this.child);
    void this.outcome.then(() => {
      this.ended = true;
    });
  }

  /** `file`: the text of a mesh file; `more`: further options. Does not wait until it is ready. */
  static start(file: string, more: readonly string[] = [], env: Record<string, string> = {}): Mesh {
    const scratch = new Scratch();
    return new Mesh(scratch, [scratch.write('mesh.yaml', file), ...more], env);
  }

  /** The same of a file as it lies there; relative paths of the command line start in the clone. */
  static open(path: string, more: readonly string[] = [], env: Record<string, string> = {}): Mesh {
    return new Mesh(new Scratch(), [path, ...more], env);
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** Of the sidecar `name` now, as `up` said last. */
  pidOf(name: string): number {
    const pidIn = (event: Record<string, unknown> | undefined) =>
      (event?.['process'] as { readonly pid?: number } | undefined)?.pid;
    return pidIn(this.events.findLast((event) => event['name'] === name && pidIn(event) !== undefined))!;
  }

  /** Where `up` makes its run directory. */
  get temporary(): string {
    return this.scratch.path;
  }

  async ready(limitMs = 60_000): Promise<UpFacts> {
    const up = await until(
      'the mesh is ready',
      () => this.ended || this.events.find(({ event }) => event === 'up'),
      limitMs,
    );
    if (up === true) throw new Error(`up ended: ${JSON.stringify(await this.outcome)}`);
    return up as unknown as UpFacts;
  }

  /** Everything that runs for this mesh, `up` aside. */
  processes(): number[] {
    return processesWith(this.scratch.path).filter((pid) => pid !== this.pid);
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Ends it whatever its state, and removes what it left. */
  async discard(): Promise<void> {
    if (!this.ended) {
      this.child.kill('SIGCONT');
      this.child.kill('SIGTERM');
      await Promise.race([
        this.outcome,
        until('it ends', () => this.ended, 20_000).catch(() => this.child.kill('SIGKILL')),
      ]);
    }
    for (const pid of this.processes()) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    this.scratch.remove();
  }

  private read(part: string): void {
    const lines = (this.rest + part).split('\n');
    this.rest = lines.pop()!;
    for (const line of lines) this.events.push(JSON.parse(line));
  }
}

export async function admin(address: string, path: string, method = 'GET') {
  const response = await fetch(`http://${address}${path}`, { method });
  return { status: response.status, body: await response.text() };
}

/** What the sidecar says of itself at `/endpoints`. */
export async function reportOf(address: string): Promise<StatusReport> {
  return JSON.parse((await admin(address, '/endpoints')).body);
}

/** Does `/ready` say so? False also where nothing listens. */
export async function isReady(address: string): Promise<boolean> {
  return (await admin(address, '/ready').catch(() => undefined))?.status === 200;
}

/** What `up` has left of its run directories in a temporary directory. */
export function runDirectories(temporary: string): string[] {
  return readdirSync(temporary).filter((name) => name.startsWith('outrider-up-'));
}
