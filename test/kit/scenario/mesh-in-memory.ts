/**
 * A whole mesh on a manual clock: an application, its sidecar, and replicas that are each a sidecar with a model
 * behind it. The real data plane and real HTTP/2 on every hop; only the sockets and the model are the test's.
 */
import assert from 'node:assert/strict';
import { HEALTH_CHECK, healthAnswer } from '../../../sidecar/codec/health.js';
import { labelOf } from '../../../sidecar/config/codecs/address.js';
import type {
  LoadReportsConfig,
  PoolConfig,
  QueueConfig,
  RouteConfig,
} from '../../../sidecar/config/model.js';
import { Caller as Identity } from '../../../sidecar/inbound/caller.js';
import type { MemorySocket, Place } from '../http2/memory-net.js';
import type { PeerStream } from '../http2/scripted-peer.js';
import {
  type Application,
  addressOf,
  anInbound,
  anUpstream,
  aSafeRoute,
  type Backend,
  type CallOptions,
  type InboundOptions,
  type InboundStack,
  type OutboundStack,
  Stack,
  type UpstreamOptions,
} from '../stack/stack.js';
import { countBy, resultOf } from './counts.js';

/** How long a model takes, ms. */
const MODEL_MS = 5;

/** One replica: a sidecar, and the model behind it. */
export class Replica {
  readonly side: InboundStack;
  readonly model: Backend;
  readonly sockets: MemorySocket[] = [];
  readonly place: Place;

  constructor(
    private readonly stack: Stack,
    readonly name: string,
    over: InboundOptions,
  ) {
    const local = addressOf(`model-of-${name}`);
    this.side = stack.inbound(anInbound({ local, ...over }));
    this.model = this.side.model;
    this.model.answer = (stream) => {
      const answer = stream.header(':path') === HEALTH_CHECK ? healthAnswer(true) : Buffer.from(name);
      stack.clock.after(MODEL_MS, () => stream.reply(answer));
    };
    this.place = { mode: 'accepts', onSocket: (socket) => this.onSocket(socket) };
    stack.net.declare(labelOf(addressOf(name)), this.place);
  }

  private onSocket(socket: MemorySocket): void {
    this.sockets.push(socket);
    this.side.listener.accept(socket as never, new Identity('app'));
  }

  /** SIGKILL of the sidecar: connections break, and new ones are refused. */
  kill(): void {
    this.place.mode = 'refuses';
    for (const socket of this.sockets) socket.break();
    this.stack.run();
  }

  /** SIGSTOP of the sidecar: the kernel holds what comes, and nothing answers. */
  freeze(): void {
    this.place.mode = 'silent';
    for (const socket of this.sockets) socket.isCut = true;
  }

  thaw(): void {
    this.place.mode = 'accepts';
    for (const socket of this.sockets) socket.heal();
    this.stack.run();
  }

  /** The listener stops and sends GOAWAY on every connection. */
  drain(): void {
    this.place.mode = 'refuses';
    void this.side.listener.drain();
    this.stack.run();
  }
}

export interface MeshOptions {
  readonly replicas?: number;
  readonly routes?: readonly RouteConfig[];
  readonly queue?: Partial<QueueConfig>;
  readonly pool?: Partial<PoolConfig>;
  readonly balance?: 'round-robin' | 'least-loaded';
  readonly loadReports?: LoadReportsConfig;
  readonly seed?: number;
  readonly ejection?: UpstreamOptions['ejection'];
  /** More of the sidecars of the models, and of the upstream. */
  readonly inbound?: InboundOptions;
  /** More of single ones, the first at 0. */
  readonly inboundOf?: (index: number) => InboundOptions;
  readonly upstream?: UpstreamOptions;
}

/** A call and when it began and ended. */
interface Sent {
  readonly stream: PeerStream;
  readonly startMs: number;
  endMs: number;
}

export class Mesh {
  readonly stack: Stack;
  readonly replicas: readonly Replica[];
  readonly out: OutboundStack;
  readonly app: Application;
  readonly sent: Sent[] = [];

  constructor(options: MeshOptions = {}) {
    this.stack = new Stack(options.seed === undefined ? {} : { seed: options.seed });
    const routes = options.routes ?? [aSafeRoute({ attemptTimeoutMs: 300 })];
    const names = Array.from({ length: options.replicas ?? 3 }, (_, i) => `r${i + 1}`);
    this.replicas = names.map(
      (name, i) =>
        new Replica(this.stack, name, {
          ...{ routes, queue: { concurrency: 8, ...options.queue } },
          ...options.inbound,
          ...options.inboundOf?.(i),
        }),
    );
    // The names are the replicas' already: the upstream's own ids must not declare them again.
    const balance = { kind: options.balance ?? 'least-loaded' } as const;
    const config = anUpstream([], { routes, balance, ...options.upstream });
    this.out = this.stack.outbound({
      ...config,
      pool: { ...config.pool, ...options.pool },
      loadReports: options.loadReports ?? config.loadReports,
      ejection: { ...config.ejection, ...options.ejection },
      endpoints: names.map((name) => ({ address: addressOf(name), weight: 1, id: `of-${name}` })),
    });
    this.app = this.stack.app(this.out.listener);
  }

  call(options: CallOptions = {}): PeerStream {
    const stream = this.app.call(options);
    this.sent.push({ stream, startMs: this.stack.clock.now(), endMs: 0 });
    return stream;
  }

  /** A call every `everyMs`, open loop, for `forMs`. */
  load(forMs: number, everyMs = 10, options: CallOptions = { timeout: '1S' }): void {
    for (let ms = 0; ms < forMs; ms += everyMs) {
      this.call(options);
      this.advance(everyMs);
    }
  }

  /** The end of a call is noted to within 20 ms. */
  advance(ms: number): void {
    for (let left = ms; left > 0; left -= 20) this.step(Math.min(left, 20));
  }

  private step(ms: number): void {
    this.stack.advance(ms);
    const now = this.stack.clock.now();
    for (let i = this.sent.length - 1; i >= 0 && i >= this.sent.length - 400; i--) {
      const each = this.sent[i]!;
      if (each.endMs === 0 && each.stream.isOver) each.endMs = now;
    }
  }

  /** Calls that ended otherwise than OK, those that have not ended included; as `status reason`, with their number. */
  failures(from = 0): Record<string, number> {
    const failed = this.sent.slice(from).filter(({ stream }) => stream.status !== 0);
    return countBy(failed, ({ stream }) => resultOf(stream));
  }

  /** By the replica that answered, of the last `n` calls. */
  shares(n: number): Record<string, number> {
    return countBy(this.sent.slice(-n), ({ stream }) => stream.body.toString());
  }

  endpoint(i: number): OutboundStack['cluster']['endpoints'][number] {
    const endpoint = this.out.cluster.endpoints[i];
    assert.ok(endpoint);
    return endpoint;
  }

  close(): void {
    this.stack.close();
  }
}
