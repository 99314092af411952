import { whyNoSmallDisk } from '../../faults/small-disk.js';
import type { Drill } from '../drill.js';

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
