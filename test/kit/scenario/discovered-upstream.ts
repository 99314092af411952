/** An upstream whose endpoints a registry finds: the test applies its snapshots, on a manual clock. */
import type { EndpointConfig } from '../../../sidecar/config/model.js';
import type { TrafficRoute } from '../../../sidecar/core/routing/route-match.js';
import {
  type ClusterSnapshot,
  CRITICAL_PRIORITY,
  MAIN_CLUSTER,
} from '../../../sidecar/discovery/snapshot.js';
import type { PeerStream } from '../http2/scripted-peer.js';
import {
  type Application,
  addressOf,
  anUpstream,
  type Backend,
  type CallOptions,
  type OutboundStack,
  Stack,
  type UpstreamOptions,
} from '../stack/stack.js';
import { countBy, resultOf } from './counts.js';

/** `a`: an endpoint of priority 0; `a@1`: of another; `a!`: one that the registry calls critical. */
export function endpoint(spec: string): EndpointConfig {
  const [, name = '', priority = '0', critical] = /^(\w+)(?:@(\d+))?(!)?$/.exec(spec) ?? [];
  const at = Number(priority);
  return {
    address: addressOf(name),
    id: name,
    weight: 1,
    priority: critical === undefined ? at : at + CRITICAL_PRIORITY,
    ...(critical === undefined ? {} : { critical: 'check "model answers" says no' }),
  };
}

export class DiscoveredUpstream {
  readonly stack: Stack;
  readonly out: OutboundStack;
  readonly app: Application;
  readonly streams: PeerStream[] = [];
  readonly doubts: string[] = [];

  constructor(over: UpstreamOptions = {}, seed = 1) {
    this.stack = new Stack({ seed });
    const consul = { service: 'digits', tags: [], meta: {}, failover: [] };
    this.out = this.stack.outbound(anUpstream([], { consul, ...over }));
    this.out.outbound.state.upstream.onStaleDiscovery(
      (cluster, why) => void this.doubts.push(`${cluster || 'main'}: ${why}`),
    );
    this.app = this.stack.app(this.out.listener);
  }

  /** A place where an endpoint answers with its name. */
  backend(name: string): Backend {
    const backend = this.stack.backend(name);
    backend.answer = (stream) => stream.reply(Buffer.from(name));
    return backend;
  }

  /** What the registry says: endpoints as `endpoint` spells them, undefined for "not known yet". */
  discover(specs: readonly string[] | undefined): void {
    this.apply({ [MAIN_CLUSTER]: { endpoints: specs?.map(endpoint) } });
  }

  apply(
    clusters: Readonly<Record<string, ClusterSnapshot>>,
    routes: readonly TrafficRoute[] = [{ split: [{ weight: 1, cluster: MAIN_CLUSTER }] }],
  ): void {
    for (const { endpoints } of Object.values(clusters)) {
      for (const { id } of endpoints ?? []) {
        const backend = this.stack.backend(id);
        backend.answer = (stream) => stream.reply(Buffer.from(id));
      }
    }
    this.stack.settle(this.out.outbound.state.apply({ routes, clusters: new Map(Object.entries(clusters)) }));
  }

  call(options: CallOptions = {}): PeerStream {
    const stream = this.app.call(options);
    this.stack.settle(this.streams.push(stream));
    return stream;
  }

  /** `count` calls one after the other, counted by their result. */
  calls(count: number, options: CallOptions = {}, everyMs = 1): Record<string, number> {
    const results: string[] = [];
    for (let i = 0; i < count; i++) {
      const stream = this.call(options);
      this.stack.advance(everyMs);
      results.push(resultOf(stream));
    }
    return countBy(results, (result) => result);
  }

  close(): void {
    this.stack.close();
  }
}
