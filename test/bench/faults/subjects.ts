/**
 * What stands between the load and the models in the comparison of faults: sidecars of ours, Envoy with the committed
 * file, or only the client's own balancer. Plaintext between them, no active health checks, the same number of
 * retries, the same budget, the same length of an attempt and of an ejection.
 */

import { ONCE } from '../../drills/models/protocol.js';
import { SidecarBench } from '../../kit/process/sidecars.js';
import { fillTemplate, freePort, scratch, startProcess } from '../subjects/subject.js';
import { findEnvoy, versionOf } from '../subjects/tools.js';
import type { Schedule } from './protocol.js';
import { MOST_REPLICAS, PLACES } from './rows.js';

/** A subject that runs. */
export interface Standing {
  readonly client: Pick<Schedule, 'target' | 'serviceConfig'>;
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

/** What stands between the load and the models. */
export interface FaultSubject {
  readonly name: string;
  /** Version, or why it cannot run here. */
  readonly version: { readonly found: string } | { readonly missing: string };
  /** @param models ports of all models; @param replicas how many of them are used. */
  start(models: readonly number[], replicas: number): Promise<Standing>;
}

const ROUTE = {
  methods: [ONCE.path],
  kind: 'unary',
  idempotent: true,
  attempt_timeout: '250ms',
  retry: { attempts: 2, on: ['unavailable', 'deadline_exceeded', 'resource_exhausted'] },
} as const;

/** How many more a model holds than it works on: without them it is idle for the way there and back after each run. */
const READY = 2;

const outrider: FaultSubject = {
  name: 'outrider',
  version: { found: 'of this tree' },
  start: async (models, replicas) => {
    const bench = await SidecarBench.open();
    try {
      const beside = await Promise.all(
        models.slice(0, replicas).map((port, i) =>
          bench.start(`model-${i}`, {
            service: 'model',
            inbound: {
              ...{
                listen: '127.0.0.1:0',
                mtls: 'off',
                default_intention: 'allow',
                local: `127.0.0.1:${port}`,
              },
              // Eight in all, as many as Envoy lets in; some stand ready in the model when a place is free.
              queue: { concurrency: PLACES + READY, max_waiting: PLACES - READY },
              routes: [{ methods: [ONCE.path], kind: 'unary' }],
            },
          }),
        ),
      );
      await Promise.all(beside.map((sidecar) => sidecar.ready()));
      const endpoints = beside.map((sidecar) => hostPort(sidecar.address('inbound')));
      const upstream = { listen: '127.0.0.1:0', tls: 'plaintext', endpoints, routes: [ROUTE] };
      const caller = await bench.start('app', {
        service: 'app',
        outbound: { upstreams: { model: { ...upstream, ejection: { base: '3s', max: '30s' } } } },
      });
      await caller.ready();
      return {
        client: { target: hostPort(caller.address('upstream model')) },
        pids: [caller, ...beside].map(({ pid }) => pid),
        stop: () => bench.close(),
      };
    } catch (error) {
      await bench.close();
      throw error;
    }
  },
};

function hostPort(address: ReturnType<Awaited<ReturnType<SidecarBench['start']>>['address']>): string {
  if (address.kind !== 'tcp') throw new Error('the sidecar is expected on TCP');
  return `${address.host}:${address.port}`;
}

const envoyPath = findEnvoy();

const envoy: FaultSubject = {
  name: 'envoy',
  version:
    envoyPath === undefined
      ? { missing: 'run `npm run bench -- install`' }
      : { found: versionOf(envoyPath, ['--version'], /\/(\d+\.\d+\.\d+)\//) },
  start: async (models, replicas) => {
    const dir = scratch();
    const ports = await Promise.all(Array.from({ length: MOST_REPLICAS + 1 }, () => freePort()));
    const [port, ...beside] = ports as [number, ...number[]];
    const endpoints = beside
      .slice(0, replicas)
      .map(
        (at) => `{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${at} } } } }`,
      );
    const config = fillTemplate(dir, 'envoy-faults.yaml', {
      PORT: port,
      ENDPOINTS: endpoints.join(', '),
      ...Object.fromEntries(beside.map((at, i) => [`IN_${i}`, at])),
      ...Object.fromEntries(models.map((at, i) => [`MODEL_${i}`, at])),
    });
    const quiet = ['--concurrency', '1', '--disable-hot-restart', '-l', 'error'];
    const running = await startProcess({ command: [envoyPath!, '-c', config, ...quiet], port, dir });
    return { client: { target: `127.0.0.1:${port}` }, pids: running.pids(), stop: () => running.stop() };
  },
};

/** gRPC's own words for what the others are told. It has no time limit for an attempt, and no ejection unless by xDS. */
const SERVICE_CONFIG = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [{}],
      retryPolicy: {
        maxAttempts: 2,
        initialBackoff: '0.025s',
        maxBackoff: '0.25s',
        backoffMultiplier: 2,
        retryableStatusCodes: ['UNAVAILABLE', 'RESOURCE_EXHAUSTED'],
      },
    },
  ],
  retryThrottling: { maxTokens: 10, tokenRatio: 0.2 },
};

const bare: FaultSubject = {
  name: 'grpc-js',
  version: { found: 'alone' },
  start: async (models, replicas) => {
    const target = `ipv4:${models
      .slice(0, replicas)
      .map((port) => `127.0.0.1:${port}`)
      .join(',')}`;
    return { client: { target, serviceConfig: SERVICE_CONFIG }, pids: [], stop: async () => {} };
  },
};

export const SUBJECTS: readonly FaultSubject[] = [outrider, envoy, bare];
