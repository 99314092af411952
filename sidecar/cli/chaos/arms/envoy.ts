/** The arm with Envoy, where its program is on this machine: `OUTRIDER_ENVOY`, or `envoy` in PATH or in `.cache/bin`. */

import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { httpRequest } from '../../http-request.js';
import { cacheFolder } from '../../package-info.js';
import { Wire } from '../faults/wire.js';
import { replicaName } from '../protocol/behaviour.js';
import { STOCK_CHANNEL } from '../protocol/call.js';
import type { Arm, ArmWorld, EndpointView, Standing } from './arm.js';
import { envoyBootstrap } from './envoy-config.js';
import { EnvoyProcess } from './envoy-process.js';
import { freePort, Keeper } from './keeper.js';

const ADMIN_LIMIT_MS = 1_000;
/** Its pages grow with clusters and statistics; these few take kilobytes. */
const MOST_BYTES = 4 << 20;

export const ENVOY: Arm = {
  name: 'envoy',
  hasProxies: true,
  about:
    'Envoy in the place of the sidecars: least request, outlier detection by errors in a row, gateway failures, success rate and failure percentage, three attempts within a retry budget, circuit breakers beside each model',
  versions: () => ({ envoy: versionOf(findEnvoy()) }),
  missing: async () => (findEnvoy() === undefined ? 'there is no program envoy in PATH' : undefined),
  start: async (world) => {
    const keeper = await Keeper.start(world);
    try {
      return await startEnvoy(world, keeper);
    } catch (error) {
      keeper.kill();
      throw error;
    }
  },
};

/** Path of the program; undefined: it is not here. */
export function findEnvoy(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const folders = [...(env['PATH'] ?? '').split(delimiter), join(cacheFolder(), 'bin')];
  const candidates = [env['OUTRIDER_ENVOY'] ?? '', ...folders.map((folder) => join(folder, 'envoy'))];
  return candidates.find((path) => path !== '' && existsSync(path));
}

function versionOf(path: string | undefined): string {
  const said = path === undefined ? '' : spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout;
  return /\/(\d+\.\d+\.\d+)/.exec(said)?.[1] ?? 'unknown';
}

/**
 * Envoy in front of models that the keeper runs, in one process with one worker, as a sidecar has. Where wires are asked for, they
 * lead from the proxy of the clients to those beside the replicas, as in the other arm.
 */
async function startEnvoy(world: ArmWorld, keeper: Keeper): Promise<Standing> {
  const [admin, caller, ...beside] = await Promise.all(Array.from({ length: 5 }, freePort));
  const wires = world.path === 'wired' ? await Wire.openAll(beside.map((port) => `127.0.0.1:${port}`)) : [];
  const endpoints = wires.length > 0 ? wires.map(({ port }) => port) : beside;
  const models = keeper.addresses.map((address) => Number(address.split(':')[1]));
  const file = join(world.dir, 'envoy.json');
  writeFileSync(file, envoyBootstrap({ admin: admin!, caller: caller!, beside, endpoints, models }));
  const page = async (path: string) =>
    (await httpRequest({ ...ask(admin!, path), timeoutMs: ADMIN_LIMIT_MS, maxBytes: MOST_BYTES })).body;
  const info = () => page('/server_info');
  const envoy = new EnvoyProcess({
    program: findEnvoy()!,
    file,
    dir: world.tools.disk?.path ?? world.dir,
    info,
  });
  const end = () => {
    envoy.kill();
    keeper.kill();
  };
  await envoy.start().catch((error: Error) => {
    end();
    throw error;
  });
  return {
    client: () => ({ target: `127.0.0.1:${caller}`, options: STOCK_CHANNEL }),
    wires,
    endpoints: async () => viewsIn(await page('/clusters'), endpoints),
    pids: () => envoy.pids,
    // One process stands for all of its proxies.
    beside: () => [],
    attempts: async () =>
      Number(/: (\d+)/.exec(await page('/stats?filter=^cluster.models.upstream_rq_total$'))?.[1] ?? 0),
    restart: async (replica) => void world.control.signal(replica, 'SIGTERM'),
    // One process is the proxy of the clients and of the replicas.
    restartProxy: () => envoy.start(),
    proxiesOwnModels: false,
    stop: async () => {
      end();
      await Promise.all(wires.map((wire) => wire.close()));
    },
    kill: end,
  };
}

function ask(port: number, path: string) {
  return { target: { host: '127.0.0.1', port }, method: 'GET', path } as const;
}

/** What the page `/clusters` says of each endpoint's health. @param endpoints ports, in the order of the replicas. */
export function viewsIn(page: string, endpoints: readonly number[]): EndpointView[] {
  return endpoints.map((port, i) => {
    const flags =
      new RegExp(`^models::127\\.0\\.0\\.1:${port}::health_flags::(.*)$`, 'm').exec(page)?.[1] ?? '';
    const isIn = !flags.includes('failed_outlier_check');
    return { replica: replicaName(i + 1), isIn, isReady: isIn, why: isIn ? '' : 'outlier detection' };
  });
}
