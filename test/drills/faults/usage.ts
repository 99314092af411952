/** What processes cost over a stretch of time: CPU and memory. Linux. */

import { cpuTimeNs, residentBytes } from '../../kit/process/processes.js';

/** CPU, percent of one core, and memory of a process. */
export type Usage = ReturnType<ReturnType<typeof startUsage>>;

/** Starts measuring; the answer gives the mean CPU since then, and the memory now. A process must live all the time. */
export function startUsage(pid: number) {
  const startMs = performance.now();
  const startNs = cpuTimeNs(pid);
  return () => {
    const spentMs = (cpuTimeNs(pid) - startNs) / 1e6;
    return { cpuPercent: (100 * spentMs) / (performance.now() - startMs), rssMb: rssMb(pid) };
  };
}

/** Resident memory of a process, MB; 0 when it does not run. */
export function rssMb(pid: number): number {
  return residentBytes([pid]) / 2 ** 20;
}
