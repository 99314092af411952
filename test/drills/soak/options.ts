/** The command line of the soak. */

import { HelpRequested, parseCommandLine, UsageError, wholeNumber } from '../../kit/process/command-line.js';
import { PLACES, type Place } from './mesh-file.js';

const USAGE = `usage: npm run soak -- [options]     a mesh under load and faults for as long as you like: what is lost, and what grows

Three replicas under \`outrider up\` with everything on that watches or acts. Calls of 100 B to 4 MB and streams go on while models are killed
and frozen, sidecars killed and restarted, and the file is reloaded, one thing at a time. No call may fail. Memory, descriptors, timers and
series of each sidecar that lives for long enough may not grow after the first part.

  --minutes N    how long (default 20)
  --on PLACE     where sidecars learn of each other: file (default), or consul, which starts an agent
  --rate N       calls per second (default 20)
  --every N      seconds between two faults (default 20); 0: no faults
  --seed N       of the chance by which faults and sizes are drawn (default 1)
  -h, --help     this text

Exit codes: 0 no call failed and nothing grew, or help; 1 not so; 2 the command line was wrong.`;

/** What the command line asks for. */
export interface SoakOptions {
  readonly minutes: number;
  readonly place: Place;
  /** Calls per second. */
  readonly rate: number;
  /** Seconds; 0: no faults. */
  readonly every: number;
  readonly seed: number;
}

/** @throws HelpRequested, UsageError */
export function readOptions(args: readonly string[]): SoakOptions {
  const { values, positionals } = parseCommandLine(args, {
    minutes: { type: 'string', default: '20' },
    on: { type: 'string', default: 'file' },
    rate: { type: 'string', default: '20' },
    every: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    help: { type: 'boolean', short: 'h', default: false },
  });
  if (values.help) throw new HelpRequested(USAGE);
  if (positionals.length > 0)
    throw new UsageError(`found ${positionals[0]}; expected options only\n${USAGE}`);
  const place = PLACES.find((each) => each === values.on);
  if (place === undefined)
    throw new UsageError(`--on: found ${values.on}; expected one of ${PLACES.join(', ')}`);
  return {
    place,
    minutes: wholeNumber('--minutes', values.minutes, { most: 1_440 }),
    rate: wholeNumber('--rate', values.rate, { most: 1_000 }),
    every: wholeNumber('--every', values.every, { least: 0, most: 3_600 }),
    seed: wholeNumber('--seed', values.seed, { least: 0, most: 999_999 }),
  };
}
