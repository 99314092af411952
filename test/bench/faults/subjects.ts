/**
 * What stands between the load and the models in the comparison of faults: sidecars of ours, Envoy with the committed
 * file, or only the client's own balancer. Plaintext between them, no active health checks, the same number of
 * retries, the same budget, the same length of an attempt and of an ejection.
 */

import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { ONCE } from '../../drills/faults/model-protocol.js';
import { freePort } from '../../kit/process/free-port.js';
import { SidecarBench } from '../../kit/process/sidecars.js';
import { ENVOY_VERSION, startEnvoy } from '../subjects/native.js';
import { OPEN_INBOUND, type Version } from '../subjects/subject.js';
import type { Schedule } from './protocol.js';
import { MOST_REPLICAS, PLACES } from './rows.js';

export interface Standing {
  readonly client: Pick<Schedule, 'target' | 'serviceConfig'>;
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

/** What stands between the load and the models. */
export interface FaultSubject {
  readonly name: string;
  readonly version: Version;
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
              ...OPEN_INBOUND,
              local: `127.0.0.1:${port}`,
              // Eight in all, as many as Envoy lets in; some stand ready in the model when a place is free.
              queue: { concurrency: PLACES + READY, max_waiting: PLACES - READY },
              routes: [{ methods: [ONCE.path], kind: 'unary' }],
            },
          }),
        ),
      );
      await Promise.all(beside.map((sidecar) => sidecar.ready()));
      const endpoints = beside.map((sidecar) => writeAddress(sidecar.address('inbound')));
      const upstream = { listen: '127.0.0.1:0', tls: 'plaintext', endpoints, routes: [ROUTE] };
      const caller = await bench.start('app', {
        service: 'app',
        outbound: { upstreams: { model: { ...upstream, ejection: { base: '3s', max: '30s' } } } },
      });
      await caller.ready();
      return {
        client: { target: writeAddress(caller.address('upstream model')) },
        pids: [caller, ...beside].map(({ pid }) => pid),
        stop: () => bench.close(),
      };
    } catch (error) {
      await bench.close();
      throw error;
    }
  },
};

const envoy: FaultSubject = {
  name: 'envoy',
  version: ENVOY_VERSION,
  start: async (models, replicas) => {
    const ports = await Promise.all(Array.from({ length: MOST_REPLICAS + 1 }, () => freePort()));
    const [port, ...beside] = ports as [number, ...number[]];
    const endpoint = (at: number): string =>
      `{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${at} } } } }`;
    const endpoints = beside.slice(0, replicas).map(endpoint);
    const values = {
      ENDPOINTS: endpoints.join(', '),
      ...Object.fromEntries(beside.map((at, i) => [`IN_${i}`, at])),
      ...Object.fromEntries(models.map((at, i) => [`MODEL_${i}`, at])),
    };
    const running = await startEnvoy('envoy-faults.yaml', values, port);
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
    const endpoints = models.slice(0, replicas).map((port) => `127.0.0.1:${port}`);
    const target = `ipv4:${endpoints.join(',')}`;
    return { client: { target, serviceConfig: SERVICE_CONFIG }, pids: [], stop: async () => {} };
  },
};

export const SUBJECTS: readonly FaultSubject[] = [outrider, envoy, bare];
