/**
 * The arms without a mesh: a stock grpc-js client that is given the addresses of the models. Neither has anything that Outrider
 * has but what gRPC itself brings along; the models are started again as quickly as in the mesh.
 */

import type { ChannelOptions } from '@grpc/grpc-js';
import { Wire } from '../faults/wire.js';
import type { ArmName } from '../history/record.js';
import { STOCK_CHANNEL } from '../protocol/call.js';
import type { Arm, ArmWorld, Standing } from './arm.js';
import { Keeper } from './keeper.js';

/**
 * What gRPC itself offers for a call that failed: three attempts of the methods that may be done twice, on UNAVAILABLE. It has
 * no limit for one attempt and no ejection. No throttling: it would only take attempts away.
 */
export const RETRY_CONFIG = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [{ service: 'inference.GRPCInferenceService' }, { service: 'vllm.grpc.engine.VllmEngine' }],
      retryPolicy: {
        maxAttempts: 3,
        initialBackoff: '0.025s',
        maxBackoff: '0.25s',
        backoffMultiplier: 2,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
};

/** Each client begins with another replica, as clients of a service with several addresses are told to. */
const pickFirst = stockArm({
  name: 'pick-first',
  about:
    'grpc-js as it comes: pick_first, each of three clients with another replica as its first; no retries by policy',
  options: STOCK_CHANNEL,
});

const roundRobin = stockArm({
  name: 'round-robin',
  about:
    'grpc-js with round_robin and, for calls that may be made twice, three attempts on UNAVAILABLE, by its service config',
  options: { ...STOCK_CHANNEL, 'grpc.service_config': JSON.stringify(RETRY_CONFIG) },
});

export const STOCK_ARMS: readonly Arm[] = [pickFirst, roundRobin];

function stockArm({ name, about, options }: { name: ArmName; about: string; options: ChannelOptions }): Arm {
  return {
    ...{ name, about, hasProxies: false },
    missing: async () => undefined,
    start: async (world) => standing(world, await Keeper.start(world), options),
  };
}

async function standing(world: ArmWorld, keeper: Keeper, options: ChannelOptions): Promise<Standing> {
  const wires = world.path === 'wired' ? await Wire.openAll(keeper.addresses) : [];
  const addresses = wires.length > 0 ? wires.map(({ address }) => address) : keeper.addresses;
  return {
    client: (client) => ({ target: `ipv4:${rotated(addresses, client).join(',')}`, options }),
    wires,
    endpoints: undefined,
    pids: undefined,
    beside: () => [],
    attempts: undefined,
    restart: async (replica) => void world.control.signal(replica, 'SIGTERM'),
    restartProxy: undefined,
    proxiesOwnModels: false,
    stop: async () => {
      keeper.kill();
      await Promise.all(wires.map((wire) => wire.close()));
    },
    kill: () => keeper.kill(),
  };
}

/** The list from its nth element on, and what is before it after that. */
export function rotated<Value>(values: readonly Value[], n: number): readonly Value[] {
  const from = n % values.length;
  return [...values.slice(from), ...values.slice(0, from)];
}
