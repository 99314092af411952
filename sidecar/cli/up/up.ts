import { freemem } from 'node:os';
import { resolve } from 'node:path';
import type { MeshConfig } from '../../config/model.js';
import type { LeafRenewal } from '../../identity/ca/leaf-renewal.js';
import { removeLeftSocket } from '../../runtime/process/left-socket.js';
import { SYSTEM } from '../../runtime/system.js';
import { systemClock } from '../../runtime/time/clock.js';
import { systemTimers } from '../../runtime/time/timers.js';
import type { Guardian } from '../../supervise/guardian/guardian.js';
import { findConsul } from '../consul/binary.js';
import { type DevAgent, withoutConsulVariables } from '../consul/dev-agent.js';
import { oneLine } from '../failure.js';
import { requireModelRuntime } from '../model-runtime.js';
import { ownGuardian } from '../own-guardian.js';
import { cacheFolder } from '../package-info.js';
import { readMeshFile } from '../read-config.js';
import { SELF } from '../self.js';
import { ReloadRequests } from '../sidecar/reload-requests.js';
import { type EndRequests, endRequests, hangups } from '../signals.js';
import { paletteFor } from '../terminal.js';
import { adminAddress, callAddresses, callerOf } from './addresses.js';
import { Fleet } from './fleet.js';
import { HeldSockets, listenersOf } from './listen-sockets.js';
import { localIssuer } from './local-issuer.js';
import { memoryLine, memoryNeed } from './memory-need.js';
import {
  checkExternalConsul,
  consulOf,
  prepareConsul,
  startConsul,
  type WriteIntentions,
  withoutEffect,
} from './mesh-consul.js';
import { MeshReload, writeSidecarFile } from './mesh-reload.js';
import type { SidecarSpec } from './plan.js';
import { Planner } from './planner.js';
import { PortAllocator } from './port-allocator.js';
import { startLimitMs, untilReady } from './readiness.js';
import { UpReport } from './report.js';
import { RunDirectory } from './run-directory.js';
import { logFileOf } from './sidecar-process.js';
import type { ConsulFacts } from './summary.js';

export interface UpOptions {
  readonly json: boolean;
  /** `dev`: start a Consul agent beside the mesh. Absent: the mesh file decides. */
  readonly consul?: 'dev';
  /** A port of the file that is taken is replaced by a free one. */
  readonly freePorts: boolean;
}

/**
 * `outrider up`: runs a whole mesh on this machine until Ctrl-C or SIGTERM. In order: read the
 * file, make the run directory, start Consul (`--consul dev`), plan ports and write certificates
 * and sidecar files, start all sidecars, wait until they are ready, follow changes of the file,
 * drain.
 *
 * @returns the exit code, once every process has ended and the run directory is removed: 0 after an
 * orderly end.
 * @throws CommandFailure with one line when the mesh cannot start; nothing is left running or on
 * disk.
 */
export async function upCommand(file: string, options: UpOptions): Promise<number> {
  // From before the file is read, so that no change of it and no SIGHUP is lost, or ends the command, while the mesh starts.
  const requests = new ReloadRequests(resolve(file), systemTimers);
  let whenTerminalGone = (): void => process.exit(1);
  const hangup = hangups(() => whenTerminalGone());
  hangup.onReload = requests.hangUp;
  const { stdout: out } = process;
  const palette = paletteFor(out, process.env);
  const report = new UpReport({ out, palette, json: options.json, wallNow: systemClock.wallNow });
  try {
    const code = await up(file, options, {
      requests,
      report,
      onTerminalGone(end) {
        whenTerminalGone = end;
      },
    });
    report.stopped();
    return code;
  } finally {
    hangup.release();
    requests.close();
  }
}

interface UpSurroundings extends Pick<Up, 'requests' | 'report'> {
  onTerminalGone(end: () => void): void;
}

async function up(
  file: string,
  options: UpOptions,
  { requests, report, onTerminalGone }: UpSurroundings,
): Promise<number> {
  const mesh = readMeshFile(file, printError);
  requireRuntime(mesh);
  const memory = memoryLine(memoryNeed(mesh.services), availableMemory());
  if (memory !== undefined) printError(memory);
  const ownAgent = options.consul === 'dev';
  for (const line of withoutEffect(mesh, { ownAgent })) printError(line);
  const binary = ownAgent
    ? await findConsul({ env: process.env, cache: cacheFolder(), onInstall: printError })
    : undefined;
  const externalConsul = ownAgent ? undefined : await externalConsulOf(mesh);
  const ends = endRequests(['SIGHUP']);
  onTerminalGone(() => ends.ask('the terminal is gone'));
  const run = RunDirectory.create(mesh.runDir);
  const removeRun = () => run.remove();
  process.on('exit', removeRun);
  try {
    const guardian = ownGuardian('up', printError);
    const { freePorts } = options;
    const up: Up = { file, mesh, run, ends, requests, report, guardian, externalConsul, freePorts };
    if (binary === undefined) return await runMesh(up);
    const onChange = report.consul.bind(report);
    const ports = new PortAllocator();
    try {
      const agent = await startConsul({ binary, mesh, run, guardian, ...SYSTEM, onChange }, ports);
      return await runWithAgent(up, agent);
    } finally {
      await ports.close();
    }
  } finally {
    ends.release();
    removeRun();
    process.off('exit', removeRun);
  }
}

interface Up {
  readonly file: string;
  readonly mesh: MeshConfig;
  readonly run: RunDirectory;
  readonly ends: EndRequests;
  readonly requests: ReloadRequests;
  readonly report: UpReport;
  readonly guardian: Guardian;
  readonly freePorts: boolean;
  /** URL of the agent that the mesh file names. */
  readonly externalConsul: string | undefined;
}

/**
 * The agent is ready before the first sidecar starts and ends after the last: each sidecar
 * deregisters at its end.
 */
async function runWithAgent(up: Up, agent: DevAgent): Promise<number> {
  const kill = () => agent.kill();
  process.on('exit', kill);
  try {
    const prepared = prepareConsul(agent, up.mesh).then((writeIntentions) => ({ writeIntentions }));
    const ended = await Promise.race([prepared, up.ends.first]);
    return typeof ended === 'string' ? 0 : await runMesh(up, agent, ended.writeIntentions);
  } finally {
    up.report.ended();
    await agent.stop();
    process.off('exit', kill);
  }
}

async function runMesh(up: Up, agent?: DevAgent, writeIntentions?: WriteIntentions): Promise<number> {
  const { file, mesh, run } = up;
  const consul = consulOf(mesh, agent?.url);
  const issuer = consul === undefined ? await localIssuer(mesh, run, printError) : undefined;
  const planner = new Planner({
    run,
    issuer,
    self: SELF,
    freePorts: up.freePorts,
    ...(consul === undefined ? {} : { consul }),
  });
  try {
    const specs = await planner.plan(mesh);
    for (const spec of specs) writeSidecarFile(spec);
    const onSpecs = (all: readonly SidecarSpec[]) =>
      run.note({
        pid: process.pid,
        meshFile: resolve(file),
        cwd: process.cwd(),
        admin: Object.fromEntries(all.map((spec) => [spec.name, adminAddress(spec)])),
        call: callAddresses(callerOf(all)),
        logs: Object.fromEntries(all.map((spec) => [spec.name, logFileOf(spec)])),
      });
    onSpecs(specs);
    const reloadOf = (fleet: Fleet) =>
      new MeshReload(mesh, {
        file,
        fleet,
        timers: systemTimers,
        plan: (next) => planner.plan(next),
        check: requireRuntime,
        writeIntentions,
        onSpecs: (all) => {
          planner.retain(all.map(({ name }) => name));
          try {
            onSpecs(all);
          } catch (error) {
            printError(
              `commands see the mesh as it was before: its note cannot be written: ${oneLine(error)}`,
            );
          }
        },
        report: (outcome) => up.report.reloaded(outcome),
      });
    return await runFleet(specs, { ...up, agent, issuer, reloadOf });
  } finally {
    await planner.close();
    await issuer?.close();
  }
}

async function externalConsulOf({ consul }: MeshConfig): Promise<string | undefined> {
  if (consul === undefined) return undefined;
  const { where, problem } = await checkExternalConsul(consul, process.env);
  if (problem !== undefined) printError(problem);
  return where;
}

interface RunFleetInput extends Up {
  readonly agent: DevAgent | undefined;
  readonly issuer: LeafRenewal | undefined;
  reloadOf(fleet: Fleet): MeshReload;
}

async function runFleet(specs: readonly SidecarSpec[], input: RunFleetInput): Promise<number> {
  const { run, ends, report, guardian, agent, issuer } = input;
  const keepLog = (spec: SidecarSpec): string | undefined => run.keep(`${spec.name}.log`, logFileOf(spec));
  const ready = untilReady(systemTimers, { limitMs: startLimitMs(specs), keepLog });
  const sockets = HeldSockets.create();
  if (sockets === undefined)
    printError('this Node cannot hold listening sockets: new calls fail while a sidecar starts again');
  const identityOf = ({ name }: SidecarSpec) => issuer?.current(name);
  const env = agent === undefined ? process.env : withoutConsulVariables(process.env);
  const deps = { ...SYSTEM, self: SELF, env, identityOf, sockets, guardian };
  const fleet: Fleet = new Fleet(specs, deps, (event) => {
    report.event(event, fleet.states);
    ready.check(fleet.states);
  });
  issuer?.onSet((name, parts) => fleet.sendIdentity(name, parts));
  const killAll = () => fleet.kill();
  process.on('exit', killAll);
  try {
    await removeLeftSockets(specs);
    fleet.start();
    const ended = await Promise.race([ready.done, ends.first]);
    if (ended === undefined) {
      report.ready(fleet.states, run.path, consulFacts(input));
      await followFile(input, fleet);
    }
    report.draining();
    return (await Promise.race([fleet.stop().then(() => true), ends.second])) === true ? 0 : 1;
  } finally {
    report.ended();
    ready.cancel();
    fleet.kill();
    await fleet.stop();
    sockets?.releaseAll();
    process.off('exit', killAll);
  }
}

/** Of an earlier run that was killed. What cannot be removed, the sidecar of it reports. */
async function removeLeftSockets(specs: readonly SidecarSpec[]): Promise<void> {
  for (const { at } of specs.flatMap(({ config }) => listenersOf(config)))
    if (at.kind === 'unix') await removeLeftSocket(at.path).catch(() => false);
}

/** Reloads the mesh file on SIGHUP and on changes, also on those that came while the mesh started, until the first request to end. */
async function followFile({ file, ends, requests, reloadOf }: RunFleetInput, fleet: Fleet): Promise<void> {
  const reload = reloadOf(fleet);
  const onReload = (): void => void reload.reload();
  requests.follow({
    onChange: onReload,
    onHangup: onReload,
    onGone: () => printError(`${file} is gone; what it said stays in force`),
    onProblem: () => printError(`${file} cannot be watched; it is compared every 10 s`),
  });
  await ends.first;
  requests.close();
  reload.close();
}

function consulFacts({ agent, externalConsul }: RunFleetInput): ConsulFacts | undefined {
  if (agent === undefined) return externalConsul === undefined ? undefined : { address: externalConsul };
  const { pid } = agent.report();
  return { address: agent.url, ui: agent.ui, ...(pid === undefined ? {} : { pid }) };
}

function printError(line: string): void {
  process.stderr.write(`outrider: ${line}\n`);
}

/** What may still be taken, bytes; an older Node counts what is free only, without caches that would give way. */
function availableMemory(): number {
  return (process as { availableMemory?: () => number }).availableMemory?.() ?? freemem();
}

function requireRuntime({ services }: MeshConfig): void {
  if (services.some(({ server }) => server.kind === 'models')) requireModelRuntime();
}
