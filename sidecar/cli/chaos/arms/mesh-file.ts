/**
 * The mesh of the drills as a mesh file: three replicas behind their sidecars, and the sidecar of the clients. It uses options
 * that an operator of such a service would set, each for a reason that is known before any drill: which methods may be done
 * twice, how long a run takes at most, and how many runs a model does at once. Nothing is set for one drill.
 */

import { inferMethods, JOB, PLACES } from '../protocol/service.js';
import { REPLICAS } from './arm.js';
import { RESTART } from './keeper.js';

export const SERVICE = 'models';
export const CALLER = 'clients';

/** How a silent connection is asked for a sign of life, in both arms that have a proxy. */
export const PING = { interval: '2s', timeout: '1s' } as const;

/** The text of the mesh file (JSON, which is YAML). @param command of the models. @param more options of the whole mesh. */
export function meshFileText(
  command: readonly string[],
  more: Readonly<Record<string, unknown>> = {},
): string {
  const { ModelInfer, ModelStreamInfer } = inferMethods();
  const kinds = [
    // No reflection tells the sidecar beside the model which method is which.
    { methods: [JOB.path], kind: 'unary', timeout: 'none' },
    { methods: [ModelStreamInfer.path], kind: 'streaming' },
  ];
  return JSON.stringify({
    services: {
      [SERVICE]: {
        command,
        // It answers the gRPC of vLLM, too.
        engine: 'vllm',
        replicas: REPLICAS.length,
        // The model gets what it does at once; as many more wait here, where they can be refused in time.
        queue: { concurrency: PLACES, max_waiting: PLACES },
        routes: kinds,
        model: {
          start_timeout: '10s',
          stop_timeout: '3s',
          restart: {
            base: `${RESTART.baseMs}ms`,
            max: `${RESTART.maxMs}ms`,
            // A drill breaks the same process again and again, on purpose.
            limit: { starts: 100, within: '60s' },
          },
        },
      },
    },
    caller: {
      name: CALLER,
      admin: '127.0.0.1:0',
      upstreams: {
        [SERVICE]: {
          listen: '127.0.0.1:0',
          // Both ends are on one machine, or in one building: a second without the answer to a PING is no slow line. As in the arm with Envoy.
          pool: { ping_interval: PING.interval, ping_timeout: PING.timeout },
          // A model of the drills starts within a second; with large ones the default of 30 s is right.
          ejection: { base: '2s', max: '10s', detectors: { invalid_output: { mode: 'enforce' } } },
          routes: [
            {
              methods: [ModelInfer.path],
              idempotent: true,
              timeout: '1s',
              // 40 times the usual run: what takes longer hangs, and there is time for another one.
              attempt_timeout: '400ms',
              retry: { attempts: 3, on: ['unavailable', 'deadline_exceeded'] },
            },
            {
              methods: [ModelStreamInfer.path],
              kind: 'streaming',
              idempotent: true,
              // The same request gives the same messages, so that another replica can go on.
              resumable: true,
              deterministic: true,
              first_message_timeout: '500ms',
              retry: { attempts: 3, on: ['unavailable', 'deadline_exceeded'] },
            },
            // Not idempotent: what a replica may have begun is never done again. Its callers say themselves how long they wait.
            { methods: [JOB.path], kind: 'unary', timeout: '15s' },
          ],
        },
      },
    },
    drain_timeout: '3s',
    intentions: [{ from: CALLER, to: SERVICE, action: 'allow' }],
    ...more,
  });
}
