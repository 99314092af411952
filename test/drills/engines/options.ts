/** The command line of the engine drill. */

import {
  HelpRequested,
  parseCommandLine,
  readOnly,
  UsageError,
  wholeNumber,
} from '../../kit/process/command-line.js';
import { FAULTS, type Fault } from './engine-processes.js';
import type { Engine } from './mesh-file.js';

export const ROUNDS = [...FAULTS, 'aborted', 'cancelled'] as const;
export type Round = (typeof ROUNDS)[number];

const USAGE = `usage: npm run engines -- [options]     engines fail in the middle of answers; what their clients notice

Two engines run under \`outrider up\`. Each fault strikes one of them while both make answers. The answers are compared with
those of an undisturbed run. The first run installs vLLM for the CPU into .cache/ (3 GB, some minutes).

  --fake         fake engines (services/engine) in place of vLLM: no Python, some four minutes
  --kills N      how often the front is killed, and the core (default 2)
  --stops N      how often the front is stopped, and the core frozen (default 1)
  --by-turns N   in place of the rounds: kill -9 of the front and of the core by turns, N times in all. Each waits until
                 the engine serves again: 40 kills of vLLM take about an hour
  --quick-kills N
                 in place of all else: fake engines in this process are killed N times, at any byte of an answer
  --seed N       of the chance by which they are killed (default 1)
  --only NAME,…  only these rounds: ${ROUNDS.join(', ')}
  -h, --help     this text

Exit codes: 0 every client got every token once, or help; 1 not so; 2 the command line was wrong, or vLLM cannot be installed.`;

export interface DrillOptions {
  readonly engine: Engine;
  readonly times: Readonly<Record<Fault, number>>;
  readonly rounds: readonly Round[];
  /** Kills of front and core by turns, in place of the rounds; 0: the rounds. */
  readonly byTurns: number;
  /** 0: two engines under `outrider up`. */
  readonly quickKills: number;
  readonly seed: number;
}

/** @throws HelpRequested, UsageError */
export function readOptions(args: readonly string[]): DrillOptions {
  const { values, positionals } = parseCommandLine(args, {
    fake: { type: 'boolean', default: false },
    kills: { type: 'string', default: '2' },
    stops: { type: 'string', default: '1' },
    only: { type: 'string' },
    'by-turns': { type: 'string', default: '0' },
    'quick-kills': { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    help: { type: 'boolean', short: 'h', default: false },
  });
  if (values.help) throw new HelpRequested(USAGE);
  if (positionals.length > 0)
    throw new UsageError(`found ${positionals[0]}; expected options only\n${USAGE}`);
  const countOf = (name: string, text: string) => wholeNumber(name, text, { least: 0, most: 999_999 });
  const kills = countOf('--kills', values.kills);
  const stops = countOf('--stops', values.stops);
  const only = readOnly(values.only, ROUNDS);
  const byTurns = countOf('--by-turns', values['by-turns']);
  const quickKills = countOf('--quick-kills', values['quick-kills']);
  if (byTurns > 0 && (quickKills > 0 || only.size > 0))
    throw new UsageError(
      `found --by-turns beside ${quickKills > 0 ? '--quick-kills' : '--only'}; expected one of them`,
    );
  return {
    engine: values.fake ? 'fake' : 'vllm',
    times: { 'front-killed': kills, 'core-killed': kills, 'front-stopped': stops, 'core-frozen': stops },
    rounds: ROUNDS.filter((round) => only.size === 0 || only.has(round)),
    byTurns,
    quickKills,
    seed: countOf('--seed', values.seed),
  };
}
