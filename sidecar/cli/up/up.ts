/**
 * `outrider up`: a whole mesh on this machine, until it is told to end.
 *
 *   read the file → run directory → (a Consul of its own) → ports, certificates, sidecar files → start → wait until ready → run → drain
 *
 * Whatever fails on the way is one line and exit 1, with nothing left running and nothing left on disk.
 */

import { statSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { MeshConfig } from '../../config/model.js';
import { stringifySidecar } from '../../config/stringify.js';
import { LeafRenewal } from '../../identity/ca/leaf-renewal.js';
import { LocalCa } from '../../identity/ca/local-ca.js';
import { systemRandom } from '../../runtime/random.js';
import { systemClock } from '../../runtime/time/clock.js';
import { systemTimers } from '../../runtime/time/timers.js';
import type { ModelReport } from '../../telemetry/reports.js';
import { type ConsulBinary, findConsul } from '../consul/binary.js';
import { type DevAgent, withoutConsulVariables } from '../consul/dev-agent.js';
import { CommandFailure } from '../failure.js';
import { requireModelRuntime } from '../model-runtime.js';
import { SELF } from '../self.js';
import { readMeshFile } from '../settings.js';
import { watchFile } from '../sidecar/file-watcher.js';
import { type EndRequests, endRequests, type Hangups, hangups } from '../signals.js';
import { paletteFor } from '../terminal.js';
import { adminAddress, callAddresses, callerOf } from './addresses.js';
import { cacheFolder, consulOf, withoutEffect } from './consul-side.js';
import { Fleet } from './fleet.js';
import { askForeignConsul } from './foreign-consul.js';
import { HeldSockets } from './listen-sockets.js';
import { MeshReload } from './mesh-reload.js';
import { settled, startConsul } from './own-consul.js';
import type { SidecarSpec } from './plan.js';
import { Planner } from './planner.js';
import { untilReady } from './readiness.js';
import { type ConsulFacts, UpReport } from './report.js';
import { RunDirectory } from './run-directory.js';

export interface UpOptions {
  readonly json: boolean;
  /** `dev`: a Consul agent of its own is started beside the mesh. Absent: what the mesh file says. */
  readonly consul?: 'dev';
}

const TIME = { clock: systemClock, random: systemRandom, timers: systemTimers };

/** Resolves with the exit code once everything it started is gone. */
export async function upCommand(file: string, options: UpOptions): Promise<number> {
  const mesh = readMeshFile(file, say);
  requireModels(mesh);
  for (const line of withoutEffect(mesh, options.consul === 'dev')) say(line);
  const binary = options.consul === 'dev' ? await bringConsul() : undefined;
  const foreign = binary === undefined ? await foreignConsul(mesh) : undefined;
  const ends = endRequests(['SIGHUP']);
  const hangup = hangups(() => ends.ask('the terminal is gone'));
  const run = RunDirectory.create(mesh.runDir);
  const removeRun = () => run.remove();
  process.on('exit', removeRun);
  try {
    const report = new UpReport({
      out: process.stdout,
      palette: paletteFor(process.stdout, process.env),
      json: options.json,
      wallNow: systemClock.wallNow,
    });
    const up: Up = { file, mesh, run, ends, hangup, report, ...(foreign === undefined ? {} : { foreign }) };
    return await (binary === undefined ? runMesh(up) : runOnOwnConsul(up, binary));
  } finally {
    ends.release();
    hangup.release();
    removeRun();
    process.off('exit', removeRun);
  }
}

interface Up {
  readonly file: string;
  readonly mesh: MeshConfig;
  readonly run: RunDirectory;
  readonly ends: EndRequests;
  readonly hangup: Hangups;
  readonly report: UpReport;
  /** Where the agent is that the file names, when it is that one. */
  readonly foreign?: string;
}

/** The agent is there before the first sidecar and ends after the last, which all want to say goodbye to it. */
async function runOnOwnConsul(up: Up, binary: ConsulBinary): Promise<number> {
  const { mesh, run, report, ends } = up;
  const onChange = (state: ModelReport) => report.consul(state);
  const agent = await startConsul({ binary, mesh, run, ...TIME, onChange });
  const kill = () => agent.kill();
  process.on('exit', kill);
  try {
    const ended = await Promise.race([settled(agent, mesh), ends.first]);
    return ended === undefined ? await runMesh(up, agent) : 0;
  } finally {
    report.ended();
    await agent.stop();
    process.off('exit', kill);
  }
}

async function runMesh(up: Up, agent?: DevAgent): Promise<number> {
  const { file, mesh, run } = up;
  const consul = consulOf(mesh, agent?.url);
  const issuer = consul === undefined ? await localIssuer(mesh, run) : undefined;
  try {
    const planner = new Planner({ run, issuer, self: SELF, ...(consul === undefined ? {} : { consul }) });
    const specs = await planner.plan(mesh);
    for (const spec of specs) writeFileSync(spec.file, stringifySidecar(spec.config), { mode: 0o600 });
    const note = (all: readonly SidecarSpec[]) =>
      run.note({
        pid: process.pid,
        meshFile: resolve(file),
        admin: Object.fromEntries(all.map((spec) => [spec.name, adminAddress(spec)])),
        call: callAddresses(callerOf(all)),
      });
    note(specs);
    const follow = (fleet: Fleet) =>
      new MeshReload(mesh, {
        file,
        fleet,
        plan: (next) => planner.plan(next),
        check: requireModels,
        onSpecs: note,
        report: (outcome) => up.report.reloaded(outcome),
      });
    return await runFleet(specs, up, agent, issuer, follow);
  } finally {
    await issuer?.close();
  }
}

async function foreignConsul({ consul }: MeshConfig): Promise<string | undefined> {
  if (consul === undefined) return undefined;
  const { where, problem } = await askForeignConsul(consul, process.env);
  if (problem !== undefined) say(problem);
  return where;
}

function bringConsul(): Promise<ConsulBinary> {
  return findConsul({ env: process.env, cache: cacheFolder(), onInstall: say });
}

/** Certificates for a mesh that has no Consul to sign them. */
async function localIssuer(mesh: MeshConfig, run: RunDirectory): Promise<LeafRenewal> {
  const { trustDomain, datacenter, leafLifetimeMs } = mesh;
  return new LeafRenewal({
    ca: await LocalCa.create({ trustDomain, datacenter, wallNow: systemClock.wallNow }),
    directory: run.folder('identity'),
    leafLifetimeMs,
    onProblem: say,
    ...TIME,
  });
}

async function runFleet(
  specs: readonly SidecarSpec[],
  { file, run, ends, hangup, report, foreign }: Up,
  agent: DevAgent | undefined,
  issuer: LeafRenewal | undefined,
  follow: (fleet: Fleet) => MeshReload,
): Promise<number> {
  const ready = untilReady(systemTimers);
  const sockets = HeldSockets.create();
  if (sockets === undefined)
    say('this Node cannot hold listening sockets: new calls fail while a sidecar starts again');
  const identityOf = ({ name }: SidecarSpec) => issuer?.current(name);
  const env = agent === undefined ? process.env : withoutConsulVariables(process.env);
  const fleet: Fleet = new Fleet(specs, { ...TIME, self: SELF, env, identityOf, sockets }, (news) => {
    report.event(news, fleet.states);
    ready.check(fleet.states);
  });
  issuer?.onSet((name, parts) => fleet.sendIdentity(name, parts));
  const killAll = () => fleet.kill();
  process.on('exit', killAll);
  try {
    fleet.start();
    const ended = await Promise.race([ready.done, ends.first]);
    if (ended === undefined) {
      report.ready(fleet.states, run.path, consulFacts(agent, foreign));
      const reload = follow(fleet);
      hangup.onReload = () => void reload.reload();
      const watch = watchFile(resolve(file), systemTimers, hangup.onReload, () =>
        say(`${file} cannot be watched; SIGHUP reloads it`),
      );
      await ends.first;
      hangup.onReload = () => {};
      watch.close();
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

function consulFacts(agent: DevAgent | undefined, foreign: string | undefined): ConsulFacts | undefined {
  if (agent === undefined) return foreign === undefined ? undefined : { address: foreign };
  const { pid } = agent.report();
  return { address: agent.url, ui: agent.ui, ...(pid === undefined ? {} : { pid }) };
}

function say(line: string): void {
  process.stderr.write(`outrider: ${line}\n`);
}

function requireModels(mesh: MeshConfig): void {
  for (const { name, server } of mesh.services) {
    if (server.kind !== 'models') continue;
    requireModelRuntime();
    const stat = statSync(server.dir, { throwIfNoEntry: false });
    if (stat === undefined)
      throw new CommandFailure(`service ${name}: there is no model directory ${server.dir}`);
    if (!stat.isDirectory()) throw new CommandFailure(`service ${name}: ${server.dir} is not a directory`);
  }
}
