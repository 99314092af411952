/**
 * The life of a model process that the sidecar owns.
 */
import { z } from 'zod';
import { writeDuration } from '../spelling/duration.js';
import { type Loose, mapping, number } from './loose.js';
import { block, option, type Report, withRules } from './option.js';
import { duration, plainText } from './values.js';

const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const ENV_ERROR = 'an environment variable: letters, digits and "_"';

export const command = z
  .array(plainText('a word of the command'), {
    error: 'a list of words, the program first, as in [python3, server.py]',
  })
  .min(1, { error: 'a program' })
  .refine((words) => words[0] !== '', { error: 'the first word is empty; expected a program' });

const restart = block(
  {
    base: option(duration({ min: 1, max: 600_000 }).prefault('100ms'), {
      meaning:
        'The first restart waits half of this to all of it, at random. The wait doubles with each further death, until the process has been healthy for a minute.',
      why: 'A process that died once comes back at once.',
    }),
    max: option(duration({ min: 1, max: 3_600_000 }).prefault('30s'), {
      meaning: 'The wait never exceeds this.',
      why: 'A process that cannot start should not burn a core trying.',
    }),
  },
  'a block with base and max',
);

const common = {
  env: option(
    z
      .record(z.string({ error: ENV_ERROR }).regex(ENV_NAME, { error: ENV_ERROR }), plainText('text'), {
        error: 'a map of names and texts',
      })
      .prefault({}),
    {
      meaning: "Environment variables for the process, beside the sidecar's own.",
      why: 'Nothing is needed.',
    },
  ),
  start_timeout: option(duration({ min: 10, max: 3_600_000 }).prefault('60s'), {
    meaning: 'Longest time from its start until it is ready; then it is killed and started again.',
    why: 'Large models take half a minute to load.',
  }),
  restart: option(restart.prefault({}), {
    meaning: 'The wait before a restart.',
    why: 'Random, so that replicas that died together do not start in step.',
  }),
  stop_timeout: option(duration({ min: 1, max: 3_600_000 }).prefault('10s'), {
    meaning: 'Longest time it may take to stop when asked; then it is killed.',
    why: 'Longer than the longest usual inference.',
  }),
};

function rules(found: Loose, report: Report): void {
  const { base, max } = mapping(found['restart']);
  const [baseMs, maxMs] = [number(base), number(max)];
  if (baseMs !== undefined && maxMs !== undefined && maxMs < baseMs) {
    report(
      ['restart', 'max'],
      `found ${writeDuration(maxMs)}; expected at least base (${writeDuration(baseMs)})`,
    );
  }
}

/** In a mesh file: what runs is said by `models` or `command` of the service. */
export const meshModelProcess = withRules(block(common, 'a block about the model process'), rules);

/** In a sidecar file. */
export const sidecarModelProcess = withRules(
  block(
    {
      command: option(command.optional(), {
        meaning:
          'The program and its arguments; no shell reads them. `{socket}` stands for the address in `inbound.local`.',
        otherwise: 'taken from the command line: `outrider sidecar -c FILE -- COMMAND…`',
        why: 'A unit file or a container often says it already.',
      }),
      ...common,
    },
    'a block about the model process',
  ),
  rules,
);
