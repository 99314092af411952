/** What was run and where, as the report says it. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, release, type } from 'node:os';
import { attempt } from '../../../runtime/attempt.js';
import { packageVersion } from '../../package-info.js';
import type { Arm } from '../arms/arm.js';
import type { RunAbout } from '../history/record.js';

/** What this process cannot find out by itself. */
export interface RunFacts {
  /** Arguments of the program, as they were typed. */
  readonly args: readonly string[];
  /** Unix time, ms. */
  readonly startedAtMs: number;
  readonly seconds: number;
  readonly arms: readonly Pick<Arm, 'name' | 'about' | 'versions'>[];
}

export function aboutRun({ args, startedAtMs, seconds, arms }: RunFacts): RunAbout {
  const grpc = grpcVersion();
  return {
    command: ['outrider', ...args].join(' '),
    startedAt: new Date(startedAtMs).toISOString(),
    seconds: Math.round(seconds * 10) / 10,
    cores: availableParallelism(),
    processor: cpus()[0]?.model.trim() ?? 'unknown processor',
    system: `${type()} ${release()}`,
    versions: {
      ...{ outrider: packageVersion(), node: process.versions.node },
      ...(grpc !== undefined && { '@grpc/grpc-js': grpc }),
      // Of programs that only one arm runs, such as Envoy.
      ...Object.assign({}, ...arms.map((arm) => arm.versions?.() ?? {})),
    },
    arms: Object.fromEntries(arms.map(({ name, about }) => [name, about])),
  };
}

/** Of the library that clients of every arm are made with. */
function grpcVersion(): string | undefined {
  return attempt(() => {
    const file = createRequire(import.meta.url).resolve('@grpc/grpc-js/package.json');
    const { version } = JSON.parse(readFileSync(file, 'utf8'));
    return typeof version === 'string' ? version : undefined;
  }, undefined);
}

/**
 * A line for a machine that does something else already; undefined: it does not.
 *
 * An arm with more processes than another one gets less of a busy machine, so that a comparison there is about the load, and not about the arms.
 *
 * @param load mean of processes that ran or wanted to in the last minute (`os.loadavg`), which is always 0 on Windows.
 */
export function busyText(load: number, cores: number): string | undefined {
  if (load <= cores) return undefined;
  return `this machine is busy already (load ${load.toFixed(1)} on ${cores} ${cores === 1 ? 'core' : 'cores'}): its comparisons are no measurement`;
}
