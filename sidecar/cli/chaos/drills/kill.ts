import type { Drill } from './drill.js';

/**
 * A process that is gone at once, with its calls in flight. Twice, because the second death finds a restarted process whose
 * connections are new, and a supervisor that waits longer.
 */
export const kill: Drill = {
  name: 'kill',
  title: 'One replica is killed',
  does: 'SIGKILL to the model process of one replica of three, twice, 2 s apart; whatever supervises it starts it again.',
  set: 'standard',
  begin: async ({ control, victim, sleep, mark }) => {
    control.signal(victim, 'SIGKILL');
    await sleep(2_000);
    mark('fault-began', 'the same process again', victim);
    control.signal(victim, 'SIGKILL');
  },
};
