import type { Drill } from './drill.js';

/**
 * A process that takes connections and calls, as the kernel does for it, and answers nothing: what a deadlock, a swapping host
 * or a stuck device looks like from outside. No connection breaks, so that only time shows it.
 */
export const freeze: Drill = {
  name: 'freeze',
  title: 'One replica hangs',
  does: 'SIGSTOP to the model process of one replica of three, and SIGCONT 4.5 s later.',
  set: 'standard',
  begin: async ({ control, victim }) => void control.signal(victim, 'SIGSTOP'),
  end: async ({ control, victim }) => void control.signal(victim, 'SIGCONT'),
};
