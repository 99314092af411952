import type { DiscoveryTarget } from '../../../config/model.js';
import { defined, present } from '../../../config/present.js';
import { Status } from '../../../core/outcome/status.js';
import { type HeaderEdits, mergeEdits } from '../../../core/routing/header-edits.js';
import type { RouteLeg, TrafficRoute } from '../../../core/routing/route-match.js';
import { MAIN_CLUSTER } from '../../snapshot.js';
import { type Json, listIn, objectIn, quote, textIn } from '../parser/json-fields.js';
import {
  type Chain,
  type ChainNode,
  type ChainPlace,
  countIn,
  durationIn,
  parseChain,
  unknownIn,
} from './chain-json.js';
import { headerEditsIn } from './header-modifiers.js';
import { type ClusterPlan, ClusterReader } from './resolver.js';
import { matchOf } from './route-match.js';

/** Routes, the clusters they lead to, and the rules that are not applied. */
export interface ChainPlan {
  /** As for the data plane: the first match wins, the last one matches every call. */
  readonly routes: readonly TrafficRoute[];
  /** By the names that the routes use. The service's own default is the main one. */
  readonly clusters: ReadonlyMap<string, ClusterPlan>;
  /** Each one sentence that names the entry and the field. */
  readonly unsupported: readonly string[];
}

/** Bounds on what one answer can make the sidecar hold. */
const MAX_ROUTES = 1_000;
const MAX_SPLITS = 1_000;
const MAX_DEPTH = 16;

/** What is read of the destination of a route, and of a part of a split, or is resolved in the chain. */
const KNOWN_OF_DESTINATION = new Set([
  ...['Service', 'ServiceSubset', 'Namespace', 'Partition', 'PrefixRewrite', 'RequestTimeout', 'IdleTimeout'],
  ...[
    'NumRetries',
    'RetryOnConnectFailure',
    'RetryOnStatusCodes',
    'RetryOn',
    'RequestHeaders',
    'ResponseHeaders',
  ],
]);
const KNOWN_OF_SPLIT = new Set([
  ...['Weight', 'Service', 'ServiceSubset', 'Namespace', 'Partition', 'RequestHeaders', 'ResponseHeaders'],
]);

/**
 * From a discovery chain to what the data plane needs: routes, and the clusters they lead to, each with its targets in the
 * order of failover. Consul 1.6 to 1.8 were tried; what came later (load balancer policies, RetryOn, case-insensitive
 * paths) is read as documented. @throws Error when the answer is no chain, or one with dangling names: the one before
 * stays in force.
 */
export function planOf(text: string, place: ChainPlace = 'here'): ChainPlan {
  const chain = parseChain(text, place);
  const unsupported = new Set<string>();
  const reader = new PlanReader(chain, (sentence) => unsupported.add(sentence));
  const routes = reader.routes();
  return { routes, clusters: reader.clusters.plans, unsupported: [...unsupported] };
}

class PlanReader {
  readonly clusters: ClusterReader;
  private splits = 0;

  constructor(
    private readonly chain: Chain,
    private readonly refuse: (sentence: string) => void,
  ) {
    this.clusters = new ClusterReader(chain, refuse);
  }

  /** The routes of a router, or the one route of a service without a router. */
  routes(): TrafficRoute[] {
    const { start } = this.chain;
    if (start.type !== 'router') return [this.routeTo(start, {})];
    const routes = listIn(start.json, 'Routes');
    if (routes.length > MAX_ROUTES) throw new Error(`a router of ${routes.length} routes`);
    // Consul ends every router with a route for all calls; without one, calls that match nothing have nowhere to go.
    return routes
      .map((route, at) => this.route(route, `service-router ${quote(this.chain.service)}, route ${at + 1}`))
      .filter((route) => route !== undefined);
  }

  private route(route: unknown, where: string): TrafficRoute | undefined {
    const definition = objectIn(route, 'Definition');
    const destination = objectIn(definition, 'Destination');
    const matched = matchOf(objectIn(definition, 'Match'));
    if (matched.kind === 'never') {
      this.refuse(`${where} is left out: ${matched.why}.`);
      return undefined;
    }
    for (const field of unknownIn(destination, KNOWN_OF_DESTINATION))
      this.refuse(`${where}: Destination.${field} is not applied.`);
    const timeoutMs = durationIn(destination, 'RequestTimeout');
    const idleTimeoutMs = durationIn(destination, 'IdleTimeout');
    const retry = this.retryOf(destination, where);
    const rewrite = textIn(destination, 'PrefixRewrite');
    const edits = (field: string): HeaderEdits | undefined =>
      headerEditsIn(objectIn(destination, field), (why) =>
        this.refuse(`${where}: Destination.${field}.${why}.`),
      );
    const requestHeaders = edits('RequestHeaders');
    const responseHeaders = edits('ResponseHeaders');
    let { match } = matched;
    if (rewrite !== '' && match?.exact === undefined && match?.prefix === undefined) {
      if (match?.regex === undefined) match = { prefix: '/', headers: match?.headers ?? [] };
      else this.refuse(`${where}: Destination.PrefixRewrite is not applied to a path that is a pattern.`);
    }
    const isRewritten = rewrite !== '' && match?.regex === undefined;
    return this.routeTo(this.chain.node(textIn(route, 'NextNode')), {
      ...defined({ match, timeoutMs, idleTimeoutMs, retry, requestHeaders, responseHeaders }),
      ...(isRewritten ? { rewrite } : {}),
    });
  }

  private routeTo(node: ChainNode, route: Omit<TrafficRoute, 'split'>): TrafficRoute {
    this.splits = 0;
    const split = this.split(node, 1, 0).filter(({ weight }) => weight > 0);
    if (split.length === 0) throw new Error(`node ${quote(node.name)} of the discovery chain leads nowhere`);
    const timeouts = new Set(split.map(({ cluster }) => this.clusters.plans.get(cluster)?.requestTimeoutMs));
    const [timeoutMs] = timeouts;
    if (timeouts.size > 1)
      this.refuse(
        `service-splitter ${quote(node.name)}: the RequestTimeouts of its resolvers differ and are not applied.`,
      );
    else if (timeoutMs !== undefined && route.timeoutMs === undefined)
      return withLegs({ ...route, timeoutMs }, split);
    return withLegs(route, split);
  }

  /** Splitters below splitters are one split. */
  private split(node: ChainNode, share: number, depth: number, edits: LegEdits = {}): PlannedLeg[] {
    this.splits += 1;
    if (this.splits > MAX_SPLITS) throw new Error('the discovery chain splits without end');
    if (depth > MAX_DEPTH) throw new Error('the discovery chain goes in a circle');
    if (node.type === 'resolver') return [{ weight: share, cluster: this.clusters.read(node), edits }];
    if (node.type === 'router') throw new Error('the discovery chain has a router behind another node');
    return listIn(node.json, 'Splits').flatMap((split) => {
      const weight = (split as Json | null)?.['Weight'];
      if (typeof weight !== 'number' || !(weight > 0)) return [];
      const definition = objectIn(split, 'Definition');
      for (const field of unknownIn(definition, KNOWN_OF_SPLIT))
        this.refuse(`service-splitter ${quote(node.name)}: Splits.${field} is not applied.`);
      const own = (field: string): HeaderEdits | undefined =>
        headerEditsIn(objectIn(definition, field), (why) =>
          this.refuse(`service-splitter ${quote(node.name)}: Splits.${field}.${why}.`),
        );
      // As if the call went through one splitter after the other (Consul's ServiceSplit.MergeParent).
      const legEdits = defined({
        requestHeaders: mergeEdits(edits.requestHeaders, own('RequestHeaders')),
        responseHeaders: mergeEdits(edits.responseHeaders, own('ResponseHeaders')),
      });
      const next = this.chain.node(textIn(split, 'NextNode'));
      return this.split(next, (share * weight) / 100, depth + 1, legEdits);
    });
  }

  /**
   * Failures before anything was sent are tried again elsewhere whatever the rules say (RetryOnConnectFailure). Of HTTP
   * status codes those count that gRPC takes for UNAVAILABLE: 429, 502, 503 and 504.
   */
  private retryOf(destination: Json | undefined, where: string): TrafficRoute['retry'] {
    const on = new Set<number>();
    for (const code of listIn(destination, 'RetryOnStatusCodes')) {
      if (code === 429 || code === 502 || code === 503 || code === 504) on.add(Status.UNAVAILABLE);
      else this.refuse(`${where}: RetryOnStatusCodes ${quote(String(code))} has no counterpart in gRPC.`);
    }
    for (const each of listIn(destination, 'RetryOn')) {
      const status = RETRY_ON[String(each)];
      if (status === undefined)
        this.refuse(`${where}: RetryOn ${quote(String(each))} has no counterpart in gRPC.`);
      else if (status >= 0) on.add(status);
    }
    if (on.size === 0) return undefined;
    return { attempts: (countIn(destination, 'NumRetries') ?? 1) + 1, on: [...on] };
  }
}

/** Envoy's conditions; −1: what is always so. */
const RETRY_ON: Readonly<Record<string, number>> = {
  '5xx': Status.UNAVAILABLE,
  'gateway-error': Status.UNAVAILABLE,
  reset: Status.UNAVAILABLE,
  'connect-failure': -1,
  'refused-stream': -1,
  cancelled: Status.CANCELLED,
  'deadline-exceeded': Status.DEADLINE_EXCEEDED,
  internal: Status.INTERNAL,
  'resource-exhausted': Status.RESOURCE_EXHAUSTED,
  unavailable: Status.UNAVAILABLE,
};

/** Whether a plan says no more than that calls go to the service itself, in the datacenter that its chain was asked for. */
export function isPlain(
  { routes, clusters, unsupported }: ChainPlan,
  { service, datacenter }: Pick<DiscoveryTarget, 'service' | 'datacenter'>,
): boolean {
  const plain = plainPlan({ targets: [{ service, ...present('datacenter', datacenter) }] });
  const textOf = (plan: Pick<ChainPlan, 'routes' | 'clusters'>) =>
    JSON.stringify([plan.routes, [...plan.clusters]]);
  return unsupported.length === 0 && textOf({ routes, clusters }) === textOf(plain);
}

/** The plan of a service without any entry, or whose entries are not to be read. */
export function plainPlan(cluster: ClusterPlan): ChainPlan {
  return {
    routes: [{ split: [{ weight: 1, cluster: MAIN_CLUSTER }] }],
    clusters: new Map([[MAIN_CLUSTER, cluster]]),
    unsupported: [],
  };
}

/** What a leg of a splitter does to headers. */
type LegEdits = Pick<TrafficRoute, 'requestHeaders' | 'responseHeaders'>;

interface PlannedLeg {
  readonly weight: number;
  readonly cluster: string;
  readonly edits: LegEdits;
}

/**
 * A route with its legs. A leg that edits headers has a route of its own: first its edits are made and then those of the route, in the
 * order of Envoy (weighted cluster before route).
 */
function withLegs(route: Omit<TrafficRoute, 'split'>, legs: readonly PlannedLeg[]): TrafficRoute {
  const split = legs.map(({ weight, cluster, edits }): RouteLeg => {
    if (edits.requestHeaders === undefined && edits.responseHeaders === undefined) return { weight, cluster };
    const merged = defined({
      requestHeaders: mergeEdits(edits.requestHeaders, route.requestHeaders),
      responseHeaders: mergeEdits(edits.responseHeaders, route.responseHeaders),
    });
    return { weight, cluster, route: { ...route, ...merged, split: [{ weight, cluster }] } };
  });
  return { ...route, split };
}
