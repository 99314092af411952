import { isInPath } from '../../faults/cores.js';
import { DescriptorLimit } from '../../faults/descriptors.js';
import type { Drill } from '../drill.js';

/**
 * The limit of open files is reached: a process that only passes on what is open would not notice, so connections are broken too.
 * Each new one is taken by the kernel, and closed at once by a process that has no descriptor for it.
 */
export const noDescriptors: Drill = {
  name: 'no-descriptors',
  title: 'One replica can open no connection any more',
  does: 'The process that takes the calls of one replica of three (its sidecar, or its model where there is none) may open no descriptor for 4.5 s, and the connections to it are cut once.',
  set: 'full',
  path: 'wired',
  untouched: {
    envoy: 'one Envoy process stands for all proxies of its arm, so that one replica alone cannot be limited',
  },
  missing: async () => (isInPath('prlimit') ? undefined : 'there is no program prlimit in PATH'),
  begin: async ({ control, standing, victim, later }) => {
    const pid = standing.beside(victim)[0] ?? control.pidOf(victim);
    const limit = pid === undefined ? undefined : await DescriptorLimit.exhaust(pid);
    if (limit !== undefined) later(() => limit.restore());
    standing.wires[victim - 1]!.cut();
  },
};
