/** Check of drills in which nothing is wrong: whatever is done there about a replica is a false alarm. */
import type { History } from './record.js';
import { type Finding, ms } from './violation.js';

/** Stands where a violation names a call: what happened is about none. */
const NO_CALL = 'none';

/** Ejections of endpoints and ends of processes in a run that is harmless. */
export function findHarm({ isHarmless, marks }: Pick<History, 'isHarmless' | 'marks'>): readonly Finding[] {
  if (isHarmless !== true) return [];
  return marks
    .filter(({ kind }) => kind === 'ejected' || kind === 'died')
    .map(({ atMs, text }) => ({
      callId: NO_CALL,
      expected: 'that nothing is done about a replica that is well',
      found: `${text}, at ${ms(atMs)}`,
    }));
}
