/**
 * What is written of single calls, and whether drills may be held.
 */
import { block, option } from './option.js';
import { filePath, flag, ratio } from './values.js';

const common = (meaning: string) =>
  block({
    path: option(filePath('a file').optional(), {
      meaning,
      otherwise: 'standard error, with the other lines',
      why: 'They go where the other lines are collected.',
    }),
    sample_ratio: option(ratio().prefault(1), {
      meaning: 'Share of the successful calls that is written. Every other call always is.',
      why: 'With a lower share some calls are missing from the log.',
    }),
  });

const PRESENT =
  'Present: one line of JSON for each call, with its attempts and reasons, and without what it carried. Lines are dropped and counted when the disk does not keep up.';

/** In a sidecar file. */
export const accessLog = option(
  common('File that lines are added to; opened anew when it was moved away.').optional(),
  {
    meaning: PRESENT,
    otherwise: 'absent: single calls are not written, only counted',
    why: 'At thousands of calls per second a line for each is a cost of its own.',
  },
);

/** In a mesh file. */
export const meshAccessLog = option(
  common(
    'File that every sidecar adds its lines to, each with the name of its instance; opened anew when it was moved away.',
  ).optional(),
  {
    meaning: `${PRESENT} For every sidecar of the mesh.`,
    otherwise: 'absent: single calls are not written, only counted',
    why: 'At thousands of calls per second a line for each is a cost of its own.',
  },
);

/** `fault_injection`: off unless it says `true`. */
export const faultInjection = option(flag(), {
  meaning:
    'The admin port takes POST `/faults`, which delays or aborts a share of the calls for a while, for drills. The caller gets what was injected: neither retries nor fallbacks follow it. `false`: it does not.',
  why: 'A client that reaches the admin port could make calls fail.',
});
