import { reportOf } from '../../../sidecar/app/endpoint-report.js';
import type { Endpoint } from '../../../sidecar/cluster/endpoint.js';
import { HEALTH_CHECK, healthAnswer } from '../../../sidecar/codec/health.js';
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
import { countBy } from './counts.js';

/** Whether it asks for the health of the endpoint. */
export const isCheck = (stream: PeerStream): boolean => stream.header(':path') === HEALTH_CHECK;

/** An answer to such a check. */
export const says = (isServing: boolean) => (stream: PeerStream) =>
  void stream.reply(healthAnswer(isServing));

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
  /** Endpoints are asked for their load whatever the balancer is. */
  readonly asksForLoad?: boolean;
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

  /** A call every `everyMs`; answers counted by their text, failures by their status. */
  load(count: number, everyMs = 10, options: CallOptions = {}): Record<string, number> {
    const sent: PeerStream[] = [];
    for (let i = 0; i < count; i++) {
      sent.push(this.caller.call(options));
      this.advance(everyMs);
    }
    return countBy(sent, ({ isOver, status, body }) =>
      isOver ? (status === 0 ? body.toString() : status) : 'open',
    );
  }

  /** The upstream as the file says from now on. */
  update(over: UpstreamOptions, names = this.names): void {
    this.settle(this.out.outbound.state.update(anUpstream(names, over)));
  }

  endpoint(name: string): Endpoint {
    return this.out.cluster.endpoints.find(({ id }) => id === name)!;
  }

  report(name: string): ReturnType<typeof reportOf> {
    return reportOf(this.out.cluster, this.endpoint(name), this.clock.now());
  }

  /** Of the endpoints, in the order of their names. */
  get states(): string[] {
    return this.names.map((name) => this.report(name).state);
  }

  /** What these endpoints do with each request; without names, every endpoint. */
  answers(answer: (stream: PeerStream) => void, ...names: readonly string[]): void {
    for (const name of names.length === 0 ? this.names : names) this.backend(name).answer = answer;
  }

  /** Each of them answers with its name after `ms`. */
  works(names: string | readonly string[] = this.names, ms = 0): void {
    for (const name of [names].flat()) {
      const reply = (stream: PeerStream) => void stream.reply(Buffer.from(name));
      this.answers(ms === 0 ? reply : (stream) => void this.clock.after(ms, () => reply(stream)), name);
    }
  }

  /** The requests that reached these endpoints, in the order of the names. */
  requestsAt(...names: readonly string[]): PeerStream[] {
    return names.flatMap((name) => this.backend(name).requests);
  }

  get requests(): PeerStream[] {
    return this.requestsAt(...this.names);
  }
}
