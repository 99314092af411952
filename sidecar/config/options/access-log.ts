/**
 * What is written of single calls, and whether drills may be held.
 */
import * as z from 'zod';
import { block, inCode, option, value } from './option.js';
import { filePath, ratio } from './values.js';

const common = (meaning: string) =>
  block({
    path: option(filePath('a file').optional(), {
      meaning,
      otherwise: 'standard error, with the other lines',
      why: 'They go where the other lines are collected.',
    }),
    sample_ratio: option(ratio().prefault(1), {
      meaning:
        'Share of the calls that is written which succeeded at once. Calls that failed, were retried, continued elsewhere or got a degraded response always are.',
      why: 'With a lower share some calls are missing from the log.',
    }),
  });

const PRESENT =
  'Present: one line of JSON for each call, with its attempts and reasons, without payload. If the disk does not keep up, lines are dropped and counted.';

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

const error = 'true, false or processes';

/** `fault_injection`: off unless it says otherwise. Code reads undefined for `false`. */
export const faultInjection = option(
  inCode(
    value(z.union([z.boolean({ error }), z.literal('processes', { error })], { error }), {
      type: '`true`, `false`, `processes`',
    }).prefault(false),
    (said): true | 'processes' | undefined => said || undefined,
    (config) => config ?? false,
  ),
  {
    meaning:
      'The admin port takes POST `/faults`, for drills. `true`: it delays or aborts a share of the calls for a while. The caller gets the injected fault; the same sidecar does not retry it or use a fallback. `processes`: it also kills or freezes a model process that the sidecar supervises, one at a time, and `outrider chaos --mesh` may run its drills here. `false`: none of it.',
    why: 'A client that reaches the admin port could make calls fail.',
  },
);
