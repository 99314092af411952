/**
 * `outrider chaos`: breaks a mesh on purpose, with and without Outrider, and says what its callers noticed.
 *
 * The parts, from the top: `run/` takes one arm after another and one drill after another; `arms/` are what stands between the
 * clients and the models; `drills/` say what goes wrong and when, `mesh/` the same of a mesh that runs already; `load/` are the
 * clients with their calls; `models/` is the process that is called, with what it does wrong; `faults/` are faults that are no
 * matter of a process; `protocol/` is what clients, models and command agree on; `history/` is what was seen, with its checker;
 * `report/` shows it. The drills of the tests (test/drills) have their load, models, faults and records from the same folders.
 */

import { availableParallelism, loadavg } from 'node:os';
import { systemClock } from '../../runtime/time/clock.js';
import { CommandFailure, oneLine } from '../failure.js';
import { requireModelRuntime } from '../model-runtime.js';
import { SELF } from '../self.js';
import { ProgressLine, paletteFor } from '../terminal.js';
import { ARMS } from './arms/table.js';
import { concludeRun, prepareFolder, type Ran, renderStored } from './conclude.js';
import { DRILLS } from './drills/table.js';
import { enterOwnNetwork, isInOwnNetwork, runInOwnNetwork, whyNoOwnNetwork } from './faults/own-network.js';
import type { ArmRun, SkippedArm } from './history/record.js';
import { readPictures } from './load/pictures.js';
import type { MeshChaosOptions } from './mesh/mesh-chaos.js';
import { named } from './options.js';
import { figuresOf } from './report/figures/figures.js';
import { notReached } from './report/not-run.js';
import { lossText } from './report/printed.js';
import { busyText } from './run/about.js';
import { Ending } from './run/ending.js';
import { type RunPlan, runAll } from './run/run-all.js';
import { runnableOf } from './run/selection.js';
import type { Session } from './run/session.js';

/** The command line of `outrider chaos`. Without `mesh` a scenario has a mesh of its own. */
export interface ChaosOptions extends Omit<MeshChaosOptions, 'mesh'> {
  readonly mesh?: MeshChaosOptions['mesh'];
  /** A stored history that the report is made from, in place of a run. */
  readonly render?: string;
}

/** @returns the exit code: 0 every promise kept, 1 not all. @throws CommandFailure */
export async function chaosCommand(options: ChaosOptions): Promise<number> {
  if (options.render !== undefined) return renderStored(options.render, options);
  if (options.mesh !== undefined) {
    const { meshChaosCommand } = await import('./mesh/mesh-chaos.js');
    return meshChaosCommand({ ...options, mesh: options.mesh });
  }
  refuseMeshOptions(options);
  const palette = paletteFor(process.stdout, process.env);
  const chosen =
    options.scenarios.length > 0
      ? named(DRILLS, options.scenarios, 'scenario')
      : DRILLS.filter(({ set }) => options.full === true || set === 'standard');
  const asked = options.arms === undefined ? ARMS : named(ARMS, options.arms, 'setup');
  if (options.list === true) {
    const width = Math.max(...DRILLS.map(({ name }) => name.length));
    for (const { name, does, set } of DRILLS)
      process.stdout.write(
        `${palette.bold(name.padEnd(width))}  ${set === 'full' ? '(--full) ' : ''}${does}\n`,
      );
    process.stdout.write(
      '\n(--full): not one of the ten standard scenarios; name it, or run all with --full\n',
    );
    process.stdout.write(`setups: ${ARMS.map(({ name }) => name).join(', ')}\n`);
    return 0;
  }
  if (isInOwnNetwork()) enterOwnNetwork();
  else if (chosen.some(({ network }) => network === 'own') && whyNoOwnNetwork() === undefined)
    return runInOwnNetwork([...SELF, ...process.argv.slice(2)]);
  if (options.report !== undefined) prepareFolder(options.report);
  // Before anything is started: the models answer with the real network.
  requireModelRuntime();
  const { arms, drills, skipped } = await runnableOf(
    { arms: asked, drills: chosen },
    (line) => void process.stderr.write(`outrider: ${line}\n`),
  );
  if (drills.length === 0 || arms.length === 0) throw new CommandFailure('no scenario can be run here');
  const repeats = options.runs ?? 1;
  process.stderr.write(`outrider: ${announced({ arms, drills, repeats })}\n`);
  const busy = busyText(loadavg()[0]!, availableParallelism());
  if (busy !== undefined) process.stderr.write(`outrider: ${busy}\n`);
  const plan = { arms, drills, repeats, pace: options.quick === true ? 'quick' : 'usual' } as const;
  return concludeRun(() => runThem(plan), { drills: chosen, arms, skipped }, options);
}

/** What is about to happen, for a run takes minutes and prints a line only when a drill has ended. */
function announced({ arms, drills, repeats }: Pick<RunPlan, 'arms' | 'drills' | 'repeats'>): string {
  const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;
  const often = repeats === 1 ? '' : `, ${repeats} times each`;
  const names = arms.map(({ name }) => name).join(', ');
  return `${count(drills.length, 'scenario')} with ${count(arms.length, 'setup')} (${names})${often}, each on a mesh of its own; Ctrl-C stops`;
}

/** Options that have no meaning without `--mesh`. @throws CommandFailure(2) */
function refuseMeshOptions({ service, model, rate, leastAvailable, tokenFile }: ChaosOptions): void {
  const given = Object.entries({
    service,
    model,
    rate,
    'least-available': leastAvailable,
    'token-file': tokenFile,
  });
  const name = given.find(([, value]) => value !== undefined)?.[0];
  if (name !== undefined)
    throw new CommandFailure(`--${name}: goes with --mesh, for drills on a mesh that runs already`, 2);
}

/**
 * Runs everything, with a line for each drill as it ends. Whatever happens, nothing that was started stays.
 *
 * @throws CommandFailure where it ends before the first drill has: there is nothing to report.
 */
async function runThem({
  arms,
  drills,
  repeats,
  pace,
}: Pick<RunPlan, 'arms' | 'drills' | 'repeats' | 'pace'>): Promise<Ran> {
  const ending = new Ending();
  let session: Session | undefined;
  const kill = () => session?.kill();
  process.on('exit', kill);
  const sleep = (ms: number) => ending.sleep(ms);
  // Progress goes to standard error: standard output is the result, as text or as JSON.
  const progress = new ProgressLine(process.stderr);
  const runs: ArmRun[] = [];
  const skipped: SkippedArm[] = [];
  let problem: string | undefined;
  const width = Math.max(...drills.map(({ name }) => name.length));
  const startedMs = systemClock.now();
  const line = ({ arm, drill }: Pick<ArmRun, 'arm' | 'drill'>, text: string) => {
    progress.clear();
    const seconds = ((systemClock.now() - startedMs) / 1_000).toFixed(0);
    process.stderr.write(`${seconds.padStart(4)} s  ${arm.padEnd(11)}  ${drill.padEnd(width)}  ${text}\n`);
  };
  try {
    await runAll({
      ...{ arms, drills, repeats, pace, sleep, self: SELF, pictures: readPictures() },
      isEnding: () => ending.isAsked,
      onStart: ({ name }) => progress.show(`${name}: starting`),
      onDrill: ({ name, title }, arm) => progress.show(`${arm.name}: ${name}: ${title}`),
      onRun: (each) => {
        runs.push(each);
        line(each, lossText(figuresOf([each])[0]!));
      },
      onSkipped: (each) => {
        skipped.push(each);
        line(each, `not concerned: ${each.because}`);
      },
      onFailed: (each) => {
        skipped.push(each);
        problem ??= each.because;
        line(each, `not run: ${each.because}`);
      },
      onSession: (each) => {
        session = each;
      },
    });
  } catch (error) {
    // Minutes of drills are not lost by what ends them.
    problem = oneLine(error);
  } finally {
    progress.clear();
    ending.release();
    process.off('exit', kill);
  }
  if (runs.length === 0) throw new CommandFailure(problem ?? 'no scenario can be run here');
  if (problem !== undefined) skipped.push(...notReached({ arms, drills }, { runs, skipped }, problem));
  return { runs, skipped, problem };
}
