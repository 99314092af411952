/**
 * What a measured proxy is to the benchmark: something that is started on core 1 in front of a port, and stopped.
 * One listener, one upstream, for every subject.
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { accepts } from '../../kit/interop/programs.js';
import { ROOT } from '../../kit/process/tools.js';
import { withChildren } from '../load/cpu.js';
import type { CallKind } from '../load/protocol.js';

/** Core of the proxies, and core of the load with its backend. */
export const PROXY_CORE = 1;
export const LOAD_CORE = 0;

const START_TIMEOUT_MS = 15_000;
const READY_POLL_MS = 5;

/** The `inbound` block of a sidecar that lets every caller in. */
export const OPEN_INBOUND = { listen: '127.0.0.1:0', mtls: 'off', default_intention: 'allow' } as const;

/** What a subject is put in front of. */
export interface Target {
  /** What to forward to: cleartext HTTP/2 on 127.0.0.1. */
  readonly backendPort: number;
  /** The same for copies of calls, which are not counted. */
  readonly asidePort: number;
  readonly kind: CallKind;
  /** Folder with `roots.crt`, `caller.crt`, `caller.key`, `echo.crt`, `echo.key` for mutual TLS. */
  readonly certs: string;
}

/** A subject that runs. */
export interface Running {
  readonly port: number;
  /** From the start of its process until its port took connections, ms; of a pair, its slower half. */
  readonly readyMs: number;
  pids(): number[];
  /** Its last words, if it has ended by itself. */
  lastWords(): string;
  stop(): Promise<void>;
}

/** Version of a program, or why it cannot run here. */
export type Version = { readonly found: string } | { readonly missing: string };

/** Versions by name. */
export function versionsOf(subjects: readonly { readonly name: string; readonly version: Version }[]) {
  const entries = subjects.map(({ name, version }) => [name, 'found' in version ? version.found : 'missing']);
  return Object.fromEntries(entries) as Readonly<Record<string, string>>;
}

/** A proxy that can be measured. */
export interface Subject {
  readonly name: string;
  /** Counted when the best peer is looked for; the others are there for orientation. */
  readonly isPeer: boolean;
  readonly version: Version;
  start(target: Target): Promise<Running>;
  /** Mutual-TLS pair: cleartext in, mutual TLS between its two processes, cleartext out. */
  startPair?(target: Target): Promise<Running>;
}

/** Binds all threads of a process to one core. */
export function pin(pid: number, core: number): void {
  execFileSync('taskset', ['-acp', String(core), String(pid)], { stdio: 'ignore' });
}

/** Of SCHED_FIFO, from 1 to 99: the kernel's own threads of that class stand above. */
const PRIORITY = '5';

/**
 * Puts all threads of these processes, and those that they start, before the rest of the machine (SCHED_FIFO): what else runs
 * there adds no wait of its own to the latency. A nice value does not do it, as it counts within a session only (sched(7),
 * autogroup). Needs CAP_SYS_NICE; @returns false where that or chrt is missing: they then share their core with the others.
 */
export function putFirst(pids: readonly number[]): boolean {
  try {
    for (const pid of pids)
      execFileSync('chrt', ['-a', '-f', '-p', PRIORITY, String(pid)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
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
  const startMs = performance.now();
  while (!(await accepts(options.port))) {
    if (hasEnded(child) || performance.now() > startMs + START_TIMEOUT_MS) {
      await stopProcess(child);
      throw new Error(`${options.command.join(' ')} did not start:\n${output}`);
    }
    await sleep(READY_POLL_MS);
  }
  const readyMs = performance.now() - startMs;
  const pid = child.pid!;
  return {
    port: options.port,
    readyMs,
    pids: () => withChildren(pid),
    lastWords: () => (hasEnded(child) ? output.trim() || 'ended without output' : ''),
    stop: () => stopProcess(child),
  };
}

/** A pair as one subject: its outer half is started in front of the inner one, and is where calls enter. */
export async function pairOf(inner: Running, startOuter: () => Promise<Running>): Promise<Running> {
  const outer = await startOuter().catch(async (error) => {
    await inner.stop();
    throw error;
  });
  return {
    port: outer.port,
    readyMs: Math.max(outer.readyMs, inner.readyMs),
    pids: () => [...outer.pids(), ...inner.pids()],
    lastWords: () => outer.lastWords() || inner.lastWords(),
    stop: async () => {
      await outer.stop();
      await inner.stop();
    },
  };
}

let scratchRoot = '';

/** A scratch folder, which is gone when the benchmark is over. */
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
