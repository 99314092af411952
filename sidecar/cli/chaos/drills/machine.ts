/** Drills in which the machine of a replica is at fault: its cores, its clock, its disk, its limits. */

import { whyNoSmallDisk } from '../faults/small-disk.js';
import { findFaketime } from '../faults/stepped-clock.js';
import { DescriptorLimit, isInPath, SharedCore } from '../faults/util-linux.js';
import type { Drill } from './drill.js';

/** With the model and its sidecar that makes four or five for one core. */
const HOGS = 3;
/** Of CPU time for each of them, s: more than it gets in the drill. */
const LIMIT_S = 5;

/** A job of another owner on the same machine. No process of the replica does anything wrong; each only waits for its turn. */
export const badNeighbour: Drill = {
  name: 'bad-neighbour',
  title: 'Something else takes the core of one replica',
  does: `The processes of one replica of three share one core with ${HOGS} busy processes, for 4.5 s.`,
  set: 'full',
  missing: async () => (isInPath('taskset') ? undefined : 'there is no program taskset in PATH'),
  begin: async ({ control, standing, victim, later }) => {
    const model = control.pidOf(victim);
    const core = await SharedCore.pin([...standing.beside(victim), ...(model === undefined ? [] : [model])]);
    later(() => core.release());
    core.crowd(HOGS, LIMIT_S);
  },
};

/** Certificates of a mesh live for an hour. */
const AHEAD_S = 7_200;

/**
 * A machine whose time was set wrong. Whatever counts lengths of time by the wall clock goes wrong with it, and certificates of
 * others look as if they had expired.
 */
export const clockStep: Drill = {
  name: 'clock-step',
  title: 'The clock of one replica jumps',
  does: 'The wall clock of the processes of one replica of three (its model, and its sidecar where there is one) is two hours ahead, for 4.5 s.',
  set: 'full',
  equipment: 'clock',
  missing: async () =>
    findFaketime() === undefined
      ? 'there is no libfaketime (Debian: apt-get install libfaketime; OUTRIDER_LIBFAKETIME names another place)'
      : undefined,
  begin: async ({ tools }) => tools.clock?.step(AHEAD_S),
  end: async ({ tools }) => tools.clock?.step(0),
};

const STATIC = 'nothing stands between clients and models that writes to a disk';

/**
 * Logs, audit, state and certificates have nowhere to go. A model dies meanwhile, so that there is something to write: a sidecar
 * that waits for its disk, or dies with it, takes its replica along.
 */
export const diskFull: Drill = {
  name: 'disk-full',
  title: 'The disk of the mesh is full',
  does: 'The disk with the files and logs of all proxies is full for 4.5 s, and meanwhile the model process of one replica of three is killed once.',
  set: 'full',
  equipment: 'disk',
  untouched: { 'pick-first': STATIC, 'round-robin': STATIC },
  missing: async () => whyNoSmallDisk(),
  begin: async ({ tools, control, victim, sleep }) => {
    tools.disk?.fill();
    await sleep(500);
    control.signal(victim, 'SIGKILL');
  },
  end: async ({ tools }) => tools.disk?.empty(),
};

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
