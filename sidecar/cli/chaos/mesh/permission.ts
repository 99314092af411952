import { writeAddress } from '../../../config/codecs/address.js';
import { CommandFailure } from '../../failure.js';
import type { Members } from './members.js';

/** What a drill does to a mesh: faults of calls, or of processes too. */
export type Need = 'calls' | 'processes';

/**
 * Of all drills those that each replica allows, for a command line without names. A mesh that allows none gets all of them, which
 * `demandPermission` refuses with what is missing.
 */
export function allowedOf<Drill extends { readonly needs: Need }>(
  drills: readonly Drill[],
  { replicas }: Pick<Members, 'replicas'>,
): readonly Drill[] {
  const allowed = drills.filter(({ needs }) =>
    replicas.every(
      ({ permission }) => permission === 'processes' || (permission === true && needs === 'calls'),
    ),
  );
  return allowed.length > 0 ? allowed : drills;
}

/**
 * Refuses drills that the mesh does not allow, before anything is done: each replica of the service must allow what a drill does, by
 * `fault_injection` of its file, and no fault may be on, as it would be another one's.
 *
 * @throws CommandFailure that names the option, what was found where, and what was expected.
 */
export function demandPermission({ replicas, caller }: Members, needs: ReadonlySet<Need>): void {
  const lines = replicas.flatMap(({ name, admin, permission }) => {
    if (permission === 'processes' || (permission === true && !needs.has('processes'))) return [];
    const expected = needs.has('processes') ? 'processes' : 'true or processes';
    return [
      `${name} (${writeAddress(admin)}): fault_injection: found ${permission ?? false}; expected ${expected}`,
    ];
  });
  if (lines.length > 0)
    throw new CommandFailure(
      ['this mesh does not allow these scenarios; nothing was changed', ...lines].join('\n'),
    );
  const busy = [caller, ...replicas].filter(({ faultsOn }) => faultsOn > 0).map(({ name }) => name);
  if (busy.length > 0)
    throw new CommandFailure(
      `faults are on already at ${busy.join(', ')}; nothing was done: wait for their end, or end them with DELETE /faults`,
    );
  if (replicas.length < 2)
    throw new CommandFailure(
      `the service has ${replicas.length} replica; expected 2 or more, because the last one that serves is never broken`,
      2,
    );
}
