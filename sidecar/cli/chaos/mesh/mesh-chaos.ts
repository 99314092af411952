/** `outrider chaos --mesh`: drills on a mesh that runs already and allows them. */

import { readToken } from '../../../admin/token.js';
import { writeAddress } from '../../../config/codecs/address.js';
import { CommandFailure, oneLine } from '../../failure.js';
import { ProgressLine } from '../../terminal.js';
import { runningMeshes } from '../../up/run-directory.js';
import { concludeRun, prepareFolder, type Ran } from '../conclude.js';
import type { ArmRun, SkippedArm } from '../history/record.js';
import { named } from '../options.js';
import { clientOf, STOCK_CHANNEL } from '../protocol/call.js';
import { figuresOf } from '../report/figures/figures.js';
import { lossText } from '../report/printed.js';
import { Ending } from '../run/ending.js';
import { askMember, MeshControl, Refused } from './control.js';
import { GoldenInput } from './golden-input.js';
import { type Members, membersOf } from './members.js';
import { MESH_DRILLS, type MeshDrill } from './mesh-drills.js';
import { allowedOf, demandPermission } from './permission.js';
import { type MeshGround, runMeshDrill } from './run-mesh-drill.js';
import { type MeshTargets, meshTargets } from './targets.js';

/** The options of `outrider chaos` that are about a running mesh, and those it shares. */
export interface MeshChaosOptions {
  /** Names of drills; empty: the standard set, or all that can be held on a running mesh. */
  readonly scenarios: readonly string[];
  /** A file, or admin addresses; `true`: the one mesh that runs here. */
  readonly mesh: string | true;
  readonly service?: string;
  readonly model?: string;
  /** Calls a second. */
  readonly rate?: string;
  /** Share of the calls, 0 to 1. */
  readonly leastAvailable?: string;
  readonly tokenFile?: string;
  readonly list?: true;
  /** Names of arms; absent: all that can be run here. Refused with a running mesh. */
  readonly arms?: readonly string[];
  /** All drills. Refused with a running mesh. */
  readonly full?: true;
  /** Short drills: a look, and no measurement. */
  readonly quick?: true;
  /** How often each drill is run with each arm. Default: once. */
  readonly runs?: number;
  readonly json?: true;
  /** Folder that the report is written to. */
  readonly report?: string;
}

const RATE = { usual: 20, most: 200 };
const LEAST_AVAILABLE = 0.5;

/** @returns the exit code: 0 every promise kept, 1 not all. @throws CommandFailure; 2 where the command line is wrong. */
export async function meshChaosCommand(options: MeshChaosOptions): Promise<number> {
  if (options.arms !== undefined || options.full === true)
    throw new CommandFailure(
      `--${options.full === true ? 'full' : 'setups'} has no effect on a running mesh; expected it without --mesh`,
      2,
    );
  if (options.list === true) {
    const width = Math.max(...MESH_DRILLS.map(({ name }) => name.length));
    for (const { name, does, needs } of MESH_DRILLS)
      process.stdout.write(
        `${name.padEnd(width)}  ${needs === 'processes' ? '(fault_injection: processes) ' : ''}${does}\n`,
      );
    return 0;
  }
  // `--mesh kill` is `kill --mesh`: commander takes the next word for the value.
  const isDrill = MESH_DRILLS.some(({ name }) => name === options.mesh);
  const asked = isDrill ? [String(options.mesh), ...options.scenarios] : options.scenarios;
  const meant = asked.length > 0 ? named(MESH_DRILLS, asked, 'scenario for a running mesh') : MESH_DRILLS;
  const perSecond = numberOf('--rate', options.rate, { usual: RATE.usual, least: 1, most: RATE.most });
  const bounds = { usual: LEAST_AVAILABLE, least: 0, most: 1 };
  const leastAvailable = numberOf('--least-available', options.leastAvailable, bounds);
  const token = options.tokenFile === undefined ? undefined : tokenIn(options.tokenFile);
  const targets = meshTargets(
    options.mesh === true || isDrill ? undefined : String(options.mesh),
    runningMeshes(),
  );
  const members = await membersAt(targets, options.service);
  const drills = asked.length > 0 ? meant : allowedOf(meant, members);
  demandPermission(members, new Set(drills.map(({ needs }) => needs)));
  const because = 'fault_injection: found true; expected processes';
  const left = meant
    .filter((drill) => !drills.includes(drill))
    .map(({ name }): SkippedArm => ({ drill: name, arm: 'outrider', because }));
  for (const { drill } of left) process.stderr.write(`outrider: skipped: ${drill}: ${because}\n`);
  if (options.report !== undefined) prepareFolder(options.report);
  const client = clientOf(members.caller.target, {
    ...STOCK_CHANNEL,
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
  });
  const ending = new Ending();
  try {
    const input = await GoldenInput.open(members.golden, options.model, client);
    if (input.isStreamed)
      process.stderr.write(
        `outrider: ${input.model} gives many answers to one request; here they are asked for in one (ModelInfer), and streams are not judged\n`,
      );
    const control = new MeshControl(members, token);
    const pace = options.quick === true ? 'quick' : 'usual';
    const sleep = (ms: number) => ending.sleep(ms);
    const ground = { members, control, client, input, perSecond, leastAvailable, pace, sleep } as const;
    const repeated = drills.flatMap((drill) => Array.from({ length: options.runs ?? 1 }, () => drill));
    const arms = [{ name: 'outrider', about: aboutText(targets, ground) }] as const;
    return await concludeRun(() => runDrills(repeated, ground), { drills, arms, skipped: left }, options);
  } finally {
    ending.release();
    client.close();
  }
}

/**
 * One drill after the other, repeated ones too, each on another replica; the first that had to be stopped is the last.
 *
 * @throws CommandFailure where none was held to its end: there is nothing to report.
 */
async function runDrills(drills: readonly MeshDrill[], ground: MeshGround): Promise<Ran> {
  const runs: ArmRun[] = [];
  const skipped: SkippedArm[] = [];
  const progress = new ProgressLine(process.stderr);
  const width = Math.max(...drills.map(({ name }) => name.length));
  const { replicas } = ground.members;
  const skip = (drill: string, because: string) => {
    if (!skipped.some((each) => each.drill === drill && each.because === because))
      skipped.push({ drill, arm: 'outrider', because });
    process.stderr.write(`${drill.padEnd(width)}  not run: ${because}\n`);
  };
  // Why no more is held.
  let over: string | undefined;
  let problem: string | undefined;
  try {
    for (const [i, drill] of drills.entries()) {
      if (over !== undefined) {
        skip(drill.name, over);
        continue;
      }
      const victim = replicas[i % replicas.length]!;
      progress.show(`${drill.name} at ${victim.name}: ${drill.title}`);
      const run = await runMeshDrill(drill, victim, ground).catch((error: unknown) => {
        progress.clear();
        if (!(error instanceof Refused)) {
          if (runs.length === 0) throw error;
          problem = over = oneLine(error);
        }
        skip(drill.name, oneLine(error));
        return undefined;
      });
      progress.clear();
      if (run === undefined) continue;
      runs.push(run);
      if (run.stopped !== undefined) over = `${drill.name} was stopped`;
      const text = run.stopped === undefined ? lossText(figuresOf([run])[0]!) : `stopped: ${run.stopped}`;
      process.stderr.write(`${drill.name.padEnd(width)}  ${victim.name}  ${text}\n`);
    }
    if (runs.length === 0) throw new CommandFailure('no scenario could be run');
    return { runs, skipped, problem };
  } finally {
    progress.clear();
  }
}

/** Asks every sidecar of the mesh. @throws CommandFailure where one does not answer: what is not known is not touched. */
async function membersAt({ admin, what }: MeshTargets, service: string | undefined): Promise<Members> {
  const reports = await Promise.all(
    admin.map((address) =>
      askMember(address).catch((error: unknown) => {
        throw new CommandFailure(`${what}: the sidecar at ${writeAddress(address)}: ${oneLine(error)}`);
      }),
    ),
  );
  return membersOf(reports, service);
}

function aboutText(
  { what }: MeshTargets,
  { members, input, perSecond }: Pick<MeshGround, 'members' | 'input' | 'perSecond'>,
): string {
  const { service, replicas, caller } = members;
  return `a mesh that runs already (${what}): ${replicas.length} replicas of ${service}, called through the sidecar of ${caller.name} with the golden input of ${input.model}, ${perSecond} times a second`;
}

/** @throws CommandFailure(2) where the file holds no token. */
function tokenIn(file: string): string {
  try {
    return readToken(file);
  } catch (error) {
    throw new CommandFailure(`--token-file: ${oneLine(error)}`, 2);
  }
}

interface NumberBounds {
  readonly usual: number;
  readonly least: number;
  readonly most: number;
}

/** @throws CommandFailure(2) for a text that is no such number. */
function numberOf(name: string, text: string | undefined, { usual, least, most }: NumberBounds): number {
  if (text === undefined) return usual;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new CommandFailure(`${name}: found ${text}; expected a number from ${least} to ${most}`, 2);
}
