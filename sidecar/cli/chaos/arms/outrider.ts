/**
 * The arm with Outrider: the mesh of `mesh-file.ts`, planned and run by the machinery of `outrider up`. Its processes
 * die with this one, whatever ends it. Where wires are asked for, only the caller's file differs from what `up` would write: it
 * has the near ends of the wires in the place of the replicas.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAddress } from '../../../config/codecs/address.js';
import type { MeshConfig } from '../../../config/model.js';
import { LeafRenewal } from '../../../identity/ca/leaf-renewal.js';
import { LocalCa } from '../../../identity/ca/local-ca.js';
import { attempt } from '../../../runtime/attempt.js';
import { SYSTEM } from '../../../runtime/system.js';
import { systemClock } from '../../../runtime/time/clock.js';
import { systemTimers } from '../../../runtime/time/timers.js';
import type { EndpointReport } from '../../../telemetry/reports.js';
import { askAdmin } from '../../admin-client.js';
import { withoutConsulVariables } from '../../consul/dev-agent.js';
import { CommandFailure } from '../../failure.js';
import { readMeshFile } from '../../read-config.js';
import { callAddresses, callerOf } from '../../up/addresses.js';
import { Fleet } from '../../up/fleet.js';
import { HeldSockets } from '../../up/listen-sockets.js';
import { consulOf } from '../../up/mesh-consul.js';
import { writeSidecarFile } from '../../up/mesh-reload.js';
import type { SidecarSpec } from '../../up/plan.js';
import { Planner } from '../../up/planner.js';
import { untilReady } from '../../up/readiness.js';
import { RunDirectory } from '../../up/run-directory.js';
import { DrillIssuer } from '../faults/drill-issuer.js';
import { OwnConsul } from '../faults/own-consul.js';
import { Wire } from '../faults/wire.js';
import { replicaName } from '../protocol/behaviour.js';
import { STOCK_CHANNEL } from '../protocol/call.js';
import { type Arm, type ArmWorld, type EndpointView, type Standing, viewOf } from './arm.js';
import { modelArgv, untilServing } from './keeper.js';
import { meshFileText, SERVICE } from './mesh-file.js';

const ADMIN_LIMIT_MS = 1_000;

/** The arm whose promises are judged. */
export const OUTRIDER: Arm = {
  name: 'outrider',
  hasProxies: true,
  about:
    'a sidecar beside the clients and one beside each model; three attempts of calls that may be made twice, 400 ms each, streams resumed, ejection with the detector of invalid answers',
  missing: async () => undefined,
  start: async (world) => {
    const { disk } = world.tools;
    const run = RunDirectory.create(disk && join(disk.path, 'mesh'));
    try {
      return await startMesh(world, run);
    } catch (error) {
      run.remove();
      throw error;
    }
  },
};

/** As `up` does it: plan, certificates, files, processes, readiness. */
async function startMesh(world: ArmWorld, run: RunDirectory): Promise<Standing> {
  const file = join(world.dir, 'mesh.yaml');
  writeFileSync(
    file,
    meshFileText(modelArgv(world.self, world.dir, { replica: '{replica}', address: '{address}' }), {
      // Beside the logs, so that there is one more file which cannot be written.
      ...(world.equipment === 'disk' && { audit: { directory: run.folder('audit') } }),
    }),
  );
  const mesh = readMeshFile(file, () => {});
  const trust =
    world.equipment === 'consul'
      ? { consul: await OwnConsul.start(mesh, run), renewal: undefined }
      : await ownIssuer(mesh, run);
  try {
    return await startFleet(world, { run, mesh, ...trust });
  } catch (error) {
    trust.consul?.kill();
    throw error;
  }
}

/** As `localIssuer`, with an authority that can be taken away. */
async function ownIssuer(mesh: MeshConfig, run: RunDirectory) {
  const { trustDomain, datacenter, leafLifetimeMs } = mesh;
  const authority = new DrillIssuer(
    await LocalCa.create({ trustDomain, datacenter, wallNow: systemClock.wallNow }),
  );
  const renewal = new LeafRenewal({
    ...SYSTEM,
    ca: authority,
    directory: run.folder('identity'),
    leafLifetimeMs,
  });
  return { consul: undefined, authority, renewal };
}

/** What the sidecars of a mesh are planned with: certificates come from the one or the other. */
interface Ground {
  readonly run: RunDirectory;
  readonly mesh: MeshConfig;
  readonly consul: OwnConsul | undefined;
  readonly authority?: DrillIssuer;
  readonly renewal: LeafRenewal | undefined;
}

async function startFleet(world: ArmWorld, ground: Ground): Promise<Standing> {
  const { run, mesh, consul, renewal } = ground;
  const found = consulOf(mesh, consul?.proxy.url);
  const planner = new Planner({
    ...{ run, issuer: renewal, self: world.self, freePorts: false },
    ...(found !== undefined && { consul: found }),
  });
  const planned = await planner.plan(mesh);
  const replicas = planned.filter(({ role }) => role === 'replica');
  const inbound = replicas.map(({ config }) => writeAddress(config.inbound!.listen));
  const wires = world.path === 'wired' ? await Wire.openAll(inbound) : [];
  const specs = planned.map((spec) => overWires(spec, inbound, wires));
  for (const spec of specs) writeSidecarFile(spec);
  const ready = untilReady(systemTimers);
  // As in `up`: new connections wait in the backlog while a sidecar starts again.
  const sockets = HeldSockets.create();
  const identityOf = ({ name }: SidecarSpec) => renewal?.current(name);
  const env = consul === undefined ? process.env : withoutConsulVariables(process.env);
  // The caller's sidecar has no number.
  const envOf = ({ role, name }: SidecarSpec) =>
    role === 'replica' ? world.tools.envOf(replicaOf(name)) : {};
  const options = { ...SYSTEM, self: world.self, env, envOf, identityOf, sockets };
  const fleet: Fleet = new Fleet(specs, options, () => ready.check(fleet.states));
  renewal?.onSet((name, parts) => fleet.sendIdentity(name, parts));
  fleet.start();
  const standing = standingOf({ ...ground, fleet, specs, wires, sockets, planner });
  try {
    await ready.done;
    await untilServing(world);
    return standing;
  } catch (error) {
    standing.kill();
    throw error;
  } finally {
    ready.cancel();
  }
}

/** The caller's sidecar calls the near ends of the wires, in the place of the replicas. */
function overWires(spec: SidecarSpec, inbound: readonly string[], wires: readonly Wire[]): SidecarSpec {
  const { outbound } = spec.config;
  if (spec.role !== 'caller' || outbound === undefined || wires.length === 0) return spec;
  const upstreams = outbound.upstreams.map((upstream) => ({
    ...upstream,
    endpoints: upstream.endpoints.map((endpoint) => {
      const wire = wires[inbound.indexOf(writeAddress(endpoint.address))];
      return wire === undefined
        ? endpoint
        : { ...endpoint, address: { kind: 'tcp', host: '127.0.0.1', port: wire.port } as const };
    }),
  }));
  return { ...spec, config: { ...spec.config, outbound: { ...outbound, upstreams } } };
}

interface Running extends Ground {
  readonly fleet: Fleet;
  readonly specs: readonly SidecarSpec[];
  readonly wires: readonly Wire[];
  readonly sockets: HeldSockets | undefined;
  readonly planner: Planner;
}

function standingOf(running: Running): Standing {
  const { run, consul, authority, renewal, fleet, specs, wires, sockets, planner } = running;
  const caller = callerOf(specs);
  const target = callAddresses(caller)[SERVICE]!;
  const pids = () => fleet.states.flatMap(({ process: { pid } }) => pid ?? []);
  const restart = async (replica: number) => {
    const pid = pidOf(`${SERVICE}-${replica}`);
    if (pid !== undefined) attempt(() => process.kill(pid, 'SIGTERM'), false);
  };
  const pidOf = (name: string) => fleet.states.find(({ spec }) => spec.name === name)?.process.pid;
  const page = async (path: string) =>
    (await askAdmin(caller.admin, path, { timeoutMs: ADMIN_LIMIT_MS })).body;
  // In this order: what still runs may use what is released later.
  const release = async () => {
    sockets?.releaseAll();
    await planner.close();
    await renewal?.close();
    await Promise.all(wires.map((wire) => wire.close()));
    run.remove();
  };
  return {
    client: () => ({ target, options: STOCK_CHANNEL }),
    wires,
    endpoints: async () => viewsOf(JSON.parse(await page('/endpoints')).endpoints),
    pids,
    ...(consul !== undefined && { consul }),
    ...(authority !== undefined &&
      renewal !== undefined && { issuer: { authority, renewAll: () => renewal.renewAll() } }),
    beside: (replica) => [pidOf(`${SERVICE}-${replica}`)].flatMap((pid) => pid ?? []),
    attempts: async () => attemptsIn(await page('/metrics')),
    restart,
    proxiesOwnModels: true,
    restartProxy: async (of) => {
      // One that owns its model ends with it, as two models at one address cannot be; the other one is followed by a new process.
      if (of !== 'clients') return restart(of);
      const answer = await fleet.replace(caller.name);
      if (!answer.ok) throw new CommandFailure(`the sidecar of the clients was not replaced: ${answer.why}`);
    },
    stop: async () => {
      await fleet.stop();
      // Sidecars deregister themselves at their end.
      await consul?.stop();
      await release();
    },
    // From an `exit` handler, where nothing can be waited for.
    kill: () => {
      fleet.kill();
      consul?.kill();
      void release();
    },
  };
}

/** From 1. @param instance such as `models-2`. */
function replicaOf(instance: string): number {
  return Number(instance.split('-').at(-1));
}

/** A replica is as the best of its endpoints: a registry that is wrong may know it at two addresses. */
export function viewsOf(
  endpoints: readonly Pick<EndpointReport, 'endpoint' | 'state' | 'why'>[],
): EndpointView[] {
  const views = new Map<string, EndpointView>();
  for (const each of endpoints) {
    const view = viewOf(replicaName(replicaOf(each.endpoint)), each);
    const known = views.get(view.replica);
    if (known?.isReady || (known?.isIn && !view.isReady)) continue;
    views.set(view.replica, view);
  }
  return [...views.values()];
}

export function attemptsIn(metrics: string): number {
  const lines = metrics.matchAll(/^outrider_attempts_total(?:\{[^}]*\})? (\d+)/gm);
  return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
}
