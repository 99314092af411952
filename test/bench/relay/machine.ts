/** What the figures were measured on. */

import { arch, cpus, release, totalmem } from 'node:os';

/** What a figure depends on beside the code. */
export type Machine = ReturnType<typeof describeMachine>;

export function describeMachine() {
  const cores = cpus();
  return {
    cpu: `${cores[0]?.model.trim() ?? 'unknown'} (${arch()})`,
    cores: cores.length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
  };
}
