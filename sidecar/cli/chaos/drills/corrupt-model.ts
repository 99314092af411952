import { WELL } from '../protocol/behaviour.js';
import type { Drill } from './drill.js';

/**
 * A bad file on one machine: the process runs until something restarts it, and never again after that.
 * Connections to its address are refused, or its sidecar says that the model is gone.
 */
export const corruptModel: Drill = {
  name: 'corrupt-model',
  title: 'One replica cannot load its model any more',
  does: 'The model process of one replica of three is killed, and each new one ends at its start as with a damaged file, for 4.5 s.',
  set: 'full',
  begin: async ({ control, victim }) => {
    await control.behave(victim, { does: 'refuse-to-start' });
    control.signal(victim, 'SIGKILL');
  },
  end: ({ control, victim }) => control.behave(victim, WELL),
};
