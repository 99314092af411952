/** What becomes of calls while no endpoint of an upstream is up: whether they wait, and what is asked to start one. */

import type { FoundBlock } from '../found.js';
import { block, located, option, type Report, rules } from '../option.js';
import { duration, listOf, matching, pathFrom, plainText, wholeNumber } from '../values.js';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;

/** No user and no fragment: the first would be a password in a file, and nothing reads the second. */
const url = () =>
  matching(
    'URL',
    /^https?:\/\/[^\s/@?#]+(?:[/?][^\s@#]*)?$/,
    'a URL such as "http://127.0.0.1:9000/wake", without a user',
  ).max(2_048, { error: 'at most 2048 characters' });

/** A program that begins with `./` or `../` lies below the directory of the file, as those of model processes do. */
const words = located(
  listOf(
    plainText('a word of the command'),
    'words, the program first, as in [systemctl, start, digits]',
    64,
  ).min(1, {
    error: 'at least the program',
  }),
  ([program = '', ...rest], baseDir) => [
    /^\.\.?\//.test(program) ? pathFrom(program, baseDir) : program,
    ...rest,
  ],
);

/** What starts a service with no instance: an autoscaler's hook, a unit of systemd, a script. */
const wake = block({
  url: option(url().optional(), {
    meaning:
      'A `POST` goes there, with `{"upstream": NAME, "waiting": CALLS}` as JSON. A status other than 2xx, or none within 10 s, is logged and counted.',
    otherwise: 'required without `command`',
    why: 'What starts a service is a matter of the place where it runs.',
  }),
  command: option(words.optional(), {
    meaning:
      'Instead of `url`: a program to run, without a shell. It gets `OUTRIDER_WAKE_UPSTREAM` and `OUTRIDER_WAKE_WAITING` in its environment, and is killed after 30 s.',
    otherwise: 'required without `url`',
    why: 'What starts a service is a matter of the place where it runs.',
  }),
  interval: option(duration({ min: SECOND_MS, max: HOUR_MS }).prefault('30s'), {
    meaning: 'The least time between two requests. None is made while no call waits.',
    why: 'Longer than it takes to decide about a start, and short enough to ask again after a failed one.',
  }),
}).check(
  rules((found: FoundBlock, report: Report) => {
    if (found['url'] === undefined && found['command'] === undefined)
      report(['url'], 'missing; expected a URL, or command');
    if (found['url'] !== undefined && found['command'] !== undefined)
      report(['command'], 'found beside url; expected only one of them');
  }),
);

/** `cold_start` of an upstream; off unless the block is there. */
export const coldStart = option(
  block({
    wait: option(duration({ min: 100, max: HOUR_MS }).prefault('10s'), {
      meaning:
        'How long a call may wait for an endpoint, within its deadline. It waits if there is no endpoint, or if none can be connected to or has a model that is ready.',
      why: 'Most models load within it, and a default deadline is longer.',
    }),
    max_waiting: option(wholeNumber({ min: 1, max: 1_000 }).prefault(100), {
      meaning: 'Calls that wait at once. One more fails as without this block.',
      why: 'All of them go to the first endpoint that is up.',
    }),
    wake: option(wake.optional(), {
      meaning: 'Present: something is asked to start the service, which may have no instance.',
      otherwise: 'absent: nothing is asked',
      why: 'Most services are started by what deploys them.',
    }),
  }).optional(),
  {
    meaning:
      'Present: while every endpoint is gone or its model is loading, calls wait instead of failing. Calls whose route has a `fallback` do not wait. `{}` takes all defaults.',
    otherwise: 'absent: such calls fail at once',
    why: 'A call that waits takes memory, and its caller may have something better to do.',
  },
);
