/**
 * `outrider up`: a whole mesh on this machine, until it is told to end.
 *
 *   read the file → run directory → ports, certificates, sidecar files → start → wait until ready → run → drain
 *
 * Whatever fails on the way is one line and exit 1, with nothing left running and nothing left on disk.
 */

import { statSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MeshConfig } from '../config/mesh-model.js';
import { stringifySidecar } from '../config/stringify.js';
import { LocalCa } from '../identity/local-ca.js';
import { LocalIssuer } from '../identity/local-issuer.js';
import { systemClock } from '../runtime/clock.js';
import { YOUNG_HEAP_FLAG } from '../runtime/heap.js';
import { systemRandom } from '../runtime/random.js';
import { systemTimers } from '../runtime/timers.js';
import { CommandFailure } from './failure.js';
import { readMeshFile } from './settings.js';
import { type EndRequests, endRequests } from './signals.js';
import { paletteFor } from './terminal.js';
import { Fleet } from './up/fleet.js';
import { adminAddress, callAddresses, callerOf } from './up/places.js';
import { planMesh, type Seat } from './up/plan.js';
import { PortBook } from './up/ports.js';
import { UpReport } from './up/report.js';
import { RunDirectory } from './up/run-directory.js';
import { untilReady } from './up/until-ready.js';

export interface UpOptions {
  readonly json: boolean;
}

const TIME = { clock: systemClock, random: systemRandom, timers: systemTimers };
/** How this program runs itself; the path of the entry file, whatever it was called by. */
const FLAGS = process.execArgv.includes(YOUNG_HEAP_FLAG)
  ? process.execArgv
  : [...process.execArgv, YOUNG_HEAP_FLAG];
const SELF = [process.execPath, ...FLAGS, fileURLToPath(new URL(entryFile(), import.meta.url))];

/** Resolves with the exit code once everything it started is gone. */
export async function upCommand(file: string, options: UpOptions): Promise<number> {
  const mesh = readMeshFile(file, (line) => process.stderr.write(`outrider: ${line}\n`));
  requireModels(mesh);
  const ends = endRequests();
  const run = RunDirectory.create(mesh.runDir);
  const removeRun = () => run.remove();
  process.on('exit', removeRun);
  const issuer = new LocalIssuer({
    ca: await LocalCa.create({
      trustDomain: mesh.trustDomain,
      datacenter: mesh.datacenter,
      wallNow: systemClock.wallNow,
    }),
    directory: run.folder('identity'),
    leafLifetimeMs: mesh.leafLifetimeMs,
    onProblem: (line) => process.stderr.write(`outrider: ${line}\n`),
    ...TIME,
  });
  try {
    const seats = await prepare(mesh, run, issuer);
    run.note({
      pid: process.pid,
      meshFile: resolve(file),
      admin: Object.fromEntries(seats.map((seat) => [seat.name, adminAddress(seat)])),
      call: callAddresses(callerOf(seats)),
    });
    return await runFleet(seats, ends, run, options);
  } finally {
    await issuer.close();
    ends.release();
    removeRun();
    process.off('exit', removeRun);
  }
}

/** Everything on disk and nothing running yet. The ports are free again when this resolves, and soon in use. */
async function prepare(mesh: MeshConfig, run: RunDirectory, issuer: LocalIssuer): Promise<Seat[]> {
  const ports = new PortBook();
  try {
    const issue = (service: string, instance: string) => issuer.add(service, instance);
    const seats = await planMesh({ mesh, run, ports, issue, self: SELF });
    for (const seat of seats) writeFileSync(seat.file, stringifySidecar(seat.config), { mode: 0o600 });
    return seats;
  } finally {
    await ports.release();
  }
}

async function runFleet(
  seats: readonly Seat[],
  ends: EndRequests,
  run: RunDirectory,
  options: UpOptions,
): Promise<number> {
  const report = new UpReport({
    out: process.stdout,
    palette: paletteFor(process.stdout, process.env),
    json: options.json,
    wallNow: systemClock.wallNow,
  });
  const ready = untilReady(systemTimers);
  const fleet: Fleet = new Fleet(seats, { ...TIME, self: SELF }, (news) => {
    report.news(news, fleet.states);
    ready.check(fleet.states);
  });
  const killAll = () => fleet.kill();
  process.on('exit', killAll);
  try {
    fleet.start();
    const ended = await Promise.race([ready.done, ends.first]);
    if (ended === undefined) {
      report.ready(fleet.states, run.path);
      await ends.first;
    }
    report.draining();
    return (await Promise.race([fleet.stop().then(() => true), ends.second])) === true ? 0 : 1;
  } finally {
    report.ended();
    ready.cancel();
    fleet.kill();
    await fleet.stop();
    process.off('exit', killAll);
  }
}

function requireModels(mesh: MeshConfig): void {
  for (const { name, server } of mesh.services) {
    if (server.kind !== 'models') continue;
    const stat = statSync(server.dir, { throwIfNoEntry: false });
    if (stat === undefined)
      throw new CommandFailure(`service ${name}: there is no model directory ${server.dir}`);
    if (!stat.isDirectory()) throw new CommandFailure(`service ${name}: ${server.dir} is not a directory`);
  }
}

/** `.ts` when the sources themselves run, as in tests. */
function entryFile(): string {
  return import.meta.url.endsWith('.ts') ? '../main.ts' : '../main.js';
}
