import { isInPath, SharedCore } from '../../faults/cores.js';
import type { Drill } from '../drill.js';

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
