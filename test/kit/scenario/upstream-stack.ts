import type { Endpoint } from '../../../sidecar/cluster/endpoint.js';
import type { PeerOptions, PeerStream } from '../http2/scripted-peer.js';
import {
  type Application,
  anUpstream,
  type Backend,
  type CallOptions,
  type OutboundStack,
  Stack,
  type UpstreamOptions,
} from '../stack/stack.js';

/** `grpc.health.v1.Health/Check`, the method of health checks. */
export const CHECK = '/grpc.health.v1.Health/Check';

/** Active health checks every 5 s; two failures make an endpoint unhealthy, one success makes it healthy. */
export const GRPC_HEALTH = {
  kind: 'grpc',
  service: '',
  intervalMs: 5000,
  timeoutMs: 1000,
  unhealthyThreshold: 2,
  healthyThreshold: 1,
} as const;

export interface UpstreamStackOptions {
  readonly seed?: number;
  readonly memoryBytes?: number;
  /** How the endpoints speak HTTP/2, their SETTINGS for example. */
  readonly peer?: Omit<PeerOptions, 'role'>;
  /** How the endpoints take connections. */
  readonly mode?: Backend['mode'];
}

/** A stack with one upstream and one application that calls it. */
export class UpstreamStack extends Stack {
  readonly out: OutboundStack;
  readonly caller: Application;

  constructor(
    readonly names: readonly string[],
    over: UpstreamOptions = {},
    options: UpstreamStackOptions = {},
  ) {
    super(options);
    const { peer = {}, mode = 'accepts' } = options;
    for (const backend of names.map((name) => this.backend(name))) {
      backend.peerOptions = peer;
      backend.mode = mode;
    }
    this.out = this.outbound(anUpstream(names, over));
    this.caller = this.app(this.out.listener);
  }

  /** A call of the application; whatever follows at once has happened when it returns. */
  call(options: CallOptions = {}): PeerStream {
    return this.settle(this.caller.call(options));
  }

  /** A call every `everyMs` for `forMs`. */
  load(forMs: number, everyMs = 50): void {
    for (let ms = 0; ms < forMs; ms += everyMs) {
      this.caller.call();
      this.advance(everyMs);
    }
  }

  endpoint(name: string): Endpoint {
    return this.out.cluster.endpoints.find(({ id }) => id === name)!;
  }

  /** What these endpoints do with each request; without names, every endpoint. */
  answers(answer: (stream: PeerStream) => void, ...names: readonly string[]): void {
    for (const name of names.length === 0 ? this.names : names) this.backend(name).answer = answer;
  }

  /** The requests that reached the endpoints, in the order of their names. */
  get requests(): PeerStream[] {
    return this.names.flatMap((name) => this.backend(name).requests);
  }
}
