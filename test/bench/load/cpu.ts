/**
 * CPU time and memory of processes, from /proc. Nanoseconds of every thread come from schedstat; loopback network
 * work is charged by the kernel to the sender, which is the same for every subject.
 */

import { readdirSync, readFileSync } from 'node:fs';

/** Nanoseconds spent on a CPU by all threads of these processes. Ended threads are not counted. */
export function cpuNs(pids: readonly number[]): number {
  let ns = 0;
  for (const pid of pids) {
    for (const tid of threadsOf(pid)) {
      const line = readIfThere(`/proc/${pid}/task/${tid}/schedstat`);
      ns += Number(line.slice(0, line.indexOf(' ')));
    }
  }
  return ns;
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** The process and everything it started. */
export function withChildren(pid: number): number[] {
  const all = [pid];
  for (const child of readIfThere(`/proc/${pid}/task/${pid}/children`).trim().split(' ')) {
    if (child !== '') all.push(...withChildren(Number(child)));
  }
  return all;
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
