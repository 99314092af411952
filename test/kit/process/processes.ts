/** Real processes in tests: are they there, what are they doing, and waiting for a condition without a fixed sleep. Linux. */

import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Fields of /proc/PID/stat after the name: state, parent, group, session …; empty when there is no such process. */
function statOf(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

/** False also for a zombie, which only waits for its parent to read its exit. */
export function isRunning(pid: number): boolean {
  const state = statOf(pid)[0];
  return state !== undefined && state !== 'Z';
}

export function isStopped(pid: number): boolean {
  return statOf(pid)[0] === 'T';
}

export function sessionOf(pid: number): number {
  return Number(statOf(pid)[3]);
}

/** Nanoseconds of CPU the process has had, all threads together. */
export function cpuTimeNs(pid: number): number {
  let total = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`))
    total += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  return total;
}

/** Nanoseconds for which the first thread of the process had a core, and for which it waited for one. */
export function coreTimeOf(pid: number): { readonly ranNs: number; readonly waitedNs: number } {
  const [ranNs, waitedNs] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ').map(Number);
  return { ranNs: ranNs!, waitedNs: waitedNs! };
}

/** Resident bytes now, or at most so far (`VmHWM`), summed over the processes; of one that has ended 0. */
export function residentBytes(pids: readonly number[], field: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  let kib = 0;
  for (const pid of pids) {
    const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readIfThere(`/proc/${pid}/status`));
    kib += Number(found?.[1] ?? 0);
  }
  return kib * 1024;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

export function childrenOf(pid: number): number[] {
  return allProcesses().filter((other) => Number(statOf(other)[1]) === pid);
}

/** Running processes whose command line contains `text`. */
export function processesWith(text: string): number[] {
  return allProcesses().filter(
    (pid) => pid !== process.pid && isRunning(pid) && commandLine(pid).includes(text),
  );
}

/** Its program and arguments, with blanks between them; empty when there is no such process. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** The process and those above it, one a line: what a test that waits for its end in vain says of it. */
export function ancestryOf(pid: number): string {
  const lines: string[] = [];
  for (let each = pid; each > 0 && lines.length < 10; each = Number(statOf(each)[1] ?? 0))
    lines.push(`${each} ${statOf(each)[0] ?? 'has ended'} ${commandLine(each)}`);
  return lines.join('\n');
}

function allProcesses(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Between two looks, in the first second and after it: most probes ask a process, which takes CPU there and here. */
const LOOK_MS = 20;
const LATER_LOOK_MS = 50;
const SOON_MS = 1_000;

/** Polls until `probe` gives something truthy, and returns that. Fails with `what` after `limitMs`. */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  limitMs = 15_000,
): Promise<NonNullable<Exclude<T, false>>> {
  const beganMs = performance.now();
  let nowMs = beganMs;
  do {
    const found = await probe();
    if (found) return found as NonNullable<Exclude<T, false>>;
    await delay(nowMs - beganMs < SOON_MS ? LOOK_MS : LATER_LOOK_MS);
    nowMs = performance.now();
  } while (nowMs < beganMs + limitMs);
  throw new Error(`did not happen within ${limitMs} ms: ${what}`);
}
