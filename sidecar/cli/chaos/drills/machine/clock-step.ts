import { findFaketime } from '../../faults/stepped-clock.js';
import type { Drill } from '../drill.js';

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
