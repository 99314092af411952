/**
 * Sidecars as far as discovery goes, a few hundred in one process: what a sidecar reads of Consul or of the Kubernetes API, by the
 * product's own code and over real sockets. They take no calls and connect to no endpoint.
 */

import { connect, type Socket } from 'node:net';
import { parseSidecarFile } from '../../../sidecar/config/file/parse.js';
import type { Address, SidecarConfig } from '../../../sidecar/config/model.js';
import { Consul } from '../../../sidecar/discovery/consul/consul.js';
import { ApiClient, type KubernetesApi } from '../../../sidecar/discovery/kubernetes/api-client.js';
import { ApiFiles } from '../../../sidecar/discovery/kubernetes/api-settings.js';
import { KubernetesDiscovery } from '../../../sidecar/discovery/kubernetes/kubernetes.js';
import { CRITICAL_PRIORITY, type UpstreamSnapshot } from '../../../sidecar/discovery/snapshot.js';
import { systemRandom } from '../../../sidecar/runtime/random.js';
import { systemClock } from '../../../sidecar/runtime/time/clock.js';
import { systemTimers } from '../../../sidecar/runtime/time/timers.js';
import { type Network, SYSTEM_NETWORK } from '../../../sidecar/transport/network.js';
import { answerRequests } from '../../kit/process/asked-process.js';
import { until } from '../../kit/process/processes.js';
import { silentLogger } from '../../kit/stack/silent-logger.js';
import { type FleetCounts, type FleetRequest, GUEST_HOST, nowMs } from './protocol.js';

/** Sidecars that start at once. */
const BATCH = 20;
const LIMIT_MS = 120_000;
const FIRST_PORT = 20_000;
const LOCAL = placeOf('127.0.0.1', 9_000);

const tools = {
  clock: systemClock,
  timers: systemTimers,
  random: systemRandom,
  logger: silentLogger,
  isAnswering: () => false,
};

/** Open connections, and what has come in over them. */
let connections = 0;
let bytesIn = 0;

class CountedNetwork implements Network {
  readonly sockets = new Set<Socket>();
  readonly server = SYSTEM_NETWORK.server;
  private ended = 0;

  dial(address: Address): Socket {
    const socket =
      address.kind === 'tcp' ? connect({ host: address.host, port: address.port }) : connect(address.path);
    this.sockets.add(socket);
    socket.once('close', () => {
      this.sockets.delete(socket);
      this.ended += socket.bytesRead;
    });
    return socket;
  }

  get bytesRead(): number {
    return [...this.sockets].reduce((sum, socket) => sum + socket.bytesRead, this.ended);
  }
}

const network = new CountedNetwork();

/** Each request has a connection of its own. */
function countedApi(): KubernetesApi {
  const client = new ApiClient(new ApiFiles({}));
  return {
    ownNamespace: () => client.ownNamespace(),
    get(config, path, events) {
      connections += 1;
      let isOpen = true;
      const closed = (): void => {
        if (isOpen) connections -= 1;
        isOpen = false;
      };
      const request = client.get(config, path, {
        head: (...head) => events.head(...head),
        data: (chunk) => {
          bytesIn += chunk.length;
          events.data(chunk);
        },
        end: (problem) => {
          closed();
          events.end(problem);
        },
      });
      return {
        cancel: () => {
          closed();
          request.cancel();
        },
      };
    },
  };
}

/** One sidecar, and since when it knows whether the guest is there. */
class SimulatedSidecar {
  isKnown = false;
  hasGuest = false;
  changedMs = 0;
  readonly consul: Consul | undefined;

  constructor(config: SidecarConfig, instance: string, inbound: Address) {
    const upstream = config.outbound?.upstreams[0];
    const take = (snapshot: UpstreamSnapshot): void => this.take(snapshot);
    if (config.consul === undefined) {
      new KubernetesDiscovery({ ...tools, api: countedApi() }).watchUpstream(upstream!, take);
      return;
    }
    const consul = new Consul(config, config.consul, { ...tools, env: {}, host: 'bench', network });
    if (upstream === undefined) this.isKnown = true;
    else consul.watchUpstream(upstream, take);
    consul.watchIntentions(() => {});
    const { service } = config;
    const upstreams = upstream === undefined ? [] : [{ service: upstream.name, listen: upstream.listen }];
    consul.register({
      ...{ service, instance, inbound, upstreams, version: '0.1.0', local: LOCAL, models: [] },
      model: () => ({ ok: true, why: '' }),
      sidecar: () => [],
    });
    this.consul = consul;
  }

  isReady(): boolean {
    const { consul } = this;
    if (!this.isKnown || consul === undefined) return this.isKnown;
    const hasIdentity = consul.identity === undefined || consul.identity.current() !== undefined;
    return hasIdentity && consul.notReady().length === 0 && consul.report().registered === true;
  }

  private take({ clusters }: UpstreamSnapshot): void {
    const [cluster] = clusters.values();
    if (cluster?.endpoints === undefined) return;
    const hasGuest = cluster.endpoints.some(
      ({ address, priority = 0 }) =>
        address.kind === 'tcp' && address.host === GUEST_HOST && priority < CRITICAL_PRIORITY,
    );
    this.isKnown = true;
    if (hasGuest === this.hasGuest) return;
    this.hasGuest = hasGuest;
    this.changedMs = nowMs();
  }
}

const config = read(process.argv[2]!);
const sidecars: SimulatedSidecar[] = [];
let guest: SimulatedSidecar | undefined;

function read(text: string): SidecarConfig {
  const found = parseSidecarFile(text, 'fleet.yaml');
  if (!found.ok) throw new Error(found.problems.map(({ message }) => message).join('; '));
  return found.config;
}

function placeOf(host: string, port: number): Address {
  return { kind: 'tcp', host, port };
}

async function grow(first: number, count: number): Promise<void> {
  for (let at = 0; at < count; at += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, count - at) }, (_, i) => {
      const n = first + at + i;
      return new SimulatedSidecar(config, `${config.service}-${n}`, placeOf('127.0.0.1', FIRST_PORT + n));
    });
    sidecars.push(...batch);
    await until('the sidecars are ready', () => batch.every((each) => each.isReady()), LIMIT_MS);
  }
}

function counts(): FleetCounts {
  const { user, system } = process.cpuUsage();
  return {
    connections: connections + network.sockets.size,
    bytesIn: bytesIn + network.bytesRead,
    cpuMs: (user + system) / 1_000,
  };
}

async function known(isThere: boolean): Promise<number[]> {
  const what = `all sidecars know that the replica ${isThere ? 'has come' : 'is gone'}`;
  await until(what, () => sidecars.every(({ hasGuest }) => hasGuest === isThere), LIMIT_MS);
  return sidecars.map(({ changedMs }) => changedMs);
}

async function go(): Promise<number> {
  const fromMs = nowMs();
  await guest?.consul?.leave();
  await guest?.consul?.deregister();
  guest?.consul?.close();
  guest = undefined;
  return fromMs;
}

async function obey(request: FleetRequest): Promise<unknown> {
  switch (request.do) {
    case 'grow':
      return grow(request.first, request.count);
    case 'counts':
      return counts();
    case 'known':
      return known(request.isThere);
    case 'go':
      return go();
    default: {
      const fromMs = nowMs();
      guest = new SimulatedSidecar(config, `${config.service}-guest`, placeOf(GUEST_HOST, FIRST_PORT));
      return fromMs;
    }
  }
}

answerRequests(obey);
