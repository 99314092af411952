/**
 * What a measured proxy is to the benchmark: something that is started on core 1 in front of a port, and stopped.
 * One listener, one upstream, for every subject.
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { withChildren } from '../load/cpu.js';

/** Core of the proxies, and core of the load with its backend. */
export const PROXY_CORE = 1;
export const LOAD_CORE = 0;

const START_TIMEOUT_MS = 15_000;

/** The repository, from the sources as from `dist/`. */
export const ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));

/** What a subject is put in front of. */
export interface Target {
  /** What to forward to: cleartext HTTP/2 on 127.0.0.1. */
  readonly backendPort: number;
  /** The same for copies of calls, which are not counted. */
  readonly asidePort: number;
  readonly kind: 'unary' | 'stream';
  /** Folder with `roots.crt`, `caller.crt`, `caller.key`, `echo.crt`, `echo.key` for mutual TLS. */
  readonly certs: string;
}

/** A subject that runs. */
export interface Running {
  readonly port: number;
  pids(): number[];
  /** Its last words, if it has ended by itself. */
  lastWords(): string;
  stop(): Promise<void>;
}

/** A proxy that can be measured. */
export interface Subject {
  readonly name: string;
  /** Counted when the best peer is looked for; the others are there for orientation. */
  readonly isPeer: boolean;
  /** Version, or why it cannot run here. */
  readonly version: { readonly found: string } | { readonly missing: string };
  start(target: Target): Promise<Running>;
  /** Mutual-TLS pair: cleartext in, mutual TLS between its two processes, cleartext out. */
  startPair?(target: Target): Promise<Running>;
}

function findRoot(from: string): string {
  for (let dir = from; dir !== dirname(dir); dir = dirname(dir)) {
    if (existsSync(join(dir, 'test/bench/peers')) && existsSync(join(dir, 'package.json'))) return dir;
  }
  throw new Error('the benchmark runs from a clone of the repository');
}

/** Binds all threads of a process to one core. */
export function pin(pid: number, core: number): void {
  execFileSync('taskset', ['-acp', String(core), String(pid)], { stdio: 'ignore' });
}

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no TCP port');
  return address.port;
}

/** One process of a subject. */
export interface ProcessOptions {
  readonly command: readonly string[];
  readonly port: number;
  readonly dir: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Whatever ends the benchmark, nothing it started stays. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts it on core 1 and waits until its port takes connections. Its output is kept for the error message. */
export async function startProcess(options: ProcessOptions): Promise<Running> {
  const child = spawn('taskset', ['-c', String(PROXY_CORE), ...options.command], {
    cwd: options.dir,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  let output = '';
  const keep = (text: Buffer): void => {
    output = (output + text.toString()).slice(-4000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await accepts(options.port))) {
    if (hasEnded(child) || Date.now() > deadline) {
      await stopProcess(child);
      throw new Error(`${options.command.join(' ')} did not start:\n${output}`);
    }
    await sleep(25);
  }
  const pid = child.pid!;
  return {
    port: options.port,
    pids: () => withChildren(pid),
    lastWords: () => (hasEnded(child) ? output.trim() || 'ended without output' : ''),
    stop: () => stopProcess(child),
  };
}

/** The two halves of a pair as one subject, entered by the first. */
export function joined(first: Running, second: Running): Running {
  return {
    port: first.port,
    pids: () => [...first.pids(), ...second.pids()],
    lastWords: () => first.lastWords() || second.lastWords(),
    stop: async () => {
      await first.stop();
      await second.stop();
    },
  };
}

let scratchRoot = '';

/** A scratch folder, and a committed template written into it with its `__NAME__`s filled in. */
export function scratch(): string {
  if (scratchRoot === '') {
    scratchRoot = mkdtempSync(join(tmpdir(), 'outrider-bench-'));
    process.on('exit', () => rmSync(scratchRoot, { recursive: true, force: true }));
  }
  return mkdtempSync(join(scratchRoot, 'part-'));
}

/** Writes a template of `peers/` into `dir` with its `__NAME__`s filled in; throws when one is left. */
export function fillTemplate(
  dir: string,
  template: string,
  values: Readonly<Record<string, string | number>>,
): string {
  let text = readFileSync(join(ROOT, 'test/bench/peers', template), 'utf8');
  for (const [name, value] of Object.entries(values)) text = text.replaceAll(`__${name}__`, String(value));
  const left = /__(?!NAME)[A-Z_]+__/.exec(text);
  if (left !== null) throw new Error(`${template}: nothing to fill in for ${left[0]}`);
  const path = join(dir, template);
  writeFileSync(path, text);
  return path;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const forced = setTimeout(() => child.kill('SIGKILL'), 2000);
  await ended;
  clearTimeout(forced);
}
