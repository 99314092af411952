import type { Cluster } from '../cluster/cluster.js';
import type { Upstream } from '../cluster/upstream.js';
import { ENGINE_CODECS } from '../codec/engines/engine-codecs.js';
import { MODEL_INFER, MODEL_STREAM_INFER } from '../codec/inference.js';
import type { RouteConfig, UpstreamConfig } from '../config/model.js';
import { CallKind, NO_KEY } from '../core/balancing/balancer.js';
import { hashText } from '../core/balancing/hash.js';
import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import { isValidPath, NAMING_METHODS } from '../core/routing/method.js';
import type { MethodKinds } from '../core/routing/method-kinds.js';
import { drawLeg, rewritePath, type TrafficRoute } from '../core/routing/route-match.js';
import { headerViewOf, metadataValue } from '../http2/header-view.js';
import { FirstMessage, MessageWatch } from '../relay/call.js';
import { headerValues } from '../relay/call-facts.js';
import { setDeadline } from '../relay/call-timer.js';
import { HeaderEditor, PathFields } from '../relay/header-rewrite.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import { type Match, matchForCopy, type RoutePlan, Routes, timeAllowedMs } from '../relay/route-table.js';
import { getOrInsert } from '../runtime/get-or-insert.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { OutboundCall } from './call.js';
import { KEY_UNREAD } from './parameter-key.js';

/** Of calls that have not been read for their model. */
const NO_MODEL = null;
/** Of all models that make no difference. */
const OTHER_MODELS = '';

/** What calls of one table of routes name. */
interface Called {
  readonly model: string;
  /** Absent: none, or one that no route names. */
  readonly version?: string;
}

/**
 * Decides where a call goes: its route, and the cluster of endpoints. Most upstreams have one cluster for all calls
 * (`onlyCluster`); traffic rules, several clusters, sticky calls and limits of clusters are asked where there are any.
 */
export class Router {
  /** Those of the configuration for calls that name no model, or whose model makes no difference. */
  routes: Routes;
  /** The models that make a difference; null: none does, and no call is read for its model. */
  models: ReadonlySet<string> | null = null;
  /** The routes of calls by the model they name, once there was such a call; of all other models under ''. */
  private readonly byModel = new Map<string, Routes>();
  /** The same by model and version, of versions that routes name. */
  private readonly byVersion = new Map<string, Map<string, Routes>>();
  private versions: ReadonlyMap<string, ReadonlySet<string>>;
  private readonly name: string;
  private readonly paths = new PathFields();
  private readonly requestEditors = new WeakMap<TrafficRoute, HeaderEditor>();

  private config: UpstreamConfig;

  constructor(
    config: UpstreamConfig,
    private readonly upstream: Upstream,
    private readonly context: DataPlaneContext,
    private readonly replayBytes: number,
    private readonly kinds: MethodKinds,
  ) {
    this.name = config.name;
    this.config = config;
    this.versions = versionsIn(config);
    this.routes = this.makeRoutes(NO_MODEL);
  }

  /** Takes over a changed file. */
  update(config: UpstreamConfig): void {
    this.config = config;
    this.versions = versionsIn(config);
    this.routes = this.makeRoutes(NO_MODEL, this.routes);
    for (const [model, before] of this.byModel) this.byModel.set(model, this.makeRoutes({ model }, before));
    for (const [model, tables] of this.byVersion)
      for (const [version, before] of tables)
        tables.set(version, this.makeRoutes({ model, version }, before));
  }

  /** What is known of methods has changed. */
  forgetKinds(): void {
    for (const routes of this.all()) routes.forgetKinds();
  }

  /** The rules of discovery that were in force are not any more. */
  forgetRules(): void {
    for (const routes of this.all()) routes.forgetRules();
  }

  private *all(): Iterable<Routes> {
    yield this.routes;
    yield* this.byModel.values();
    for (const tables of this.byVersion.values()) yield* tables.values();
  }

  /** The routes of a call: those for the model and version that it names, as far as it has been read. */
  routesOf(call: OutboundCall): Routes {
    const { models, versions } = this;
    if (models === null || call.called === null) return this.routes;
    const { modelName, modelVersion: version } = call.called;
    const model = models.has(modelName) ? modelName : OTHER_MODELS;
    if (versions.get(model)?.has(version) !== true)
      return getOrInsert(this.byModel, model, () => this.makeRoutes({ model }));
    const tables = getOrInsert(this.byVersion, model, () => new Map<string, Routes>());
    return getOrInsert(tables, version, () => this.makeRoutes({ model, version }));
  }

  /**
   * The routes that calls of one model may take: those for every model, and those that name it, and its version if they name one.
   * Counters of methods go on with those of `before`.
   */
  private makeRoutes(called: Called | null, before?: Routes): Routes {
    const { name, routes, tls, loadReports, engine } = this.config;
    return new Routes(
      routes.filter((route) => mayTake(route, called)),
      {
        direction: 'outbound',
        service: name,
        ...(called === NO_MODEL ? {} : { ...called, model: called.model || 'other' }),
        replayBytes: this.replayBytes,
        kinds: this.kinds,
        ...(engine === undefined ? {} : { engine: ENGINE_CODECS[engine] }),
        stripsResponse: tls !== 'mesh',
        stripsReports: !loadReports.forward,
      },
      this.context.stats,
      before,
    );
  }

  /** Sets the call's route, plan and cluster. Returns the reply to a call that can go nowhere; null: it can. */
  route(call: OutboundCall, match: Match): LocalReply | null {
    const { onlyCluster } = this.upstream;
    call.match = match;
    call.plan = match.plan;
    if (onlyCluster !== null) call.cluster = onlyCluster;
    else {
      const refusal = this.applyRules(call, match);
      if (refusal !== null) return refusal;
    }
    call.plan = planOf(call);
    return null;
  }

  /** Traffic rules, a ring hash or a limit of calls decide where the call goes. */
  private applyRules(call: OutboundCall, match: Match): LocalReply | null {
    const { original } = call;
    const { path } = headerViewOf(original);
    const found = this.upstream.match(path, (name) => headerValues(original, name));
    if (found === undefined) return this.unknownRoute(path);
    const leg = drawLeg(found, this.context.random);
    const rule = leg.route ?? found;
    const cluster = this.upstream.clusterNamed(leg.cluster);
    if (cluster === undefined) return this.noEndpoint();
    const rewritten = rewritePath(rule, path);
    if (rewritten !== path && !isValidPath(rewritten)) return this.unknownRoute(rewritten);
    const block = rewritten === path ? original : this.paths.rewritten(original, rewritten);
    call.block = this.requestEditorOf(rule)?.request(block) ?? block;
    call.cluster = cluster;
    call.match = this.routesOf(call).complete(match, rule);
    const key = this.keyOf(call, cluster);
    call.routeDecision = { version: this.upstream.version, key, isBound: false, original, rule };
    const { inFlight, maxInFlight: limit } = cluster;
    if (inFlight < limit) return null;
    return makeLocalReply(LocalReplyReasons.breakerOpen, {
      upstream: this.name,
      limit,
      what: 'calls in flight',
    });
  }

  /** Made once for each rule, as long as the rule is in force. */
  private requestEditorOf(rule: TrafficRoute): HeaderEditor | undefined {
    const { requestHeaders } = rule;
    if (requestHeaders === undefined) return undefined;
    let editor = this.requestEditors.get(rule);
    if (editor === undefined) {
      editor = new HeaderEditor(requestHeaders);
      this.requestEditors.set(rule, editor);
    }
    return editor;
  }

  private keyOf({ original: request, match }: OutboundCall, cluster: Cluster): number {
    const hashOn = this.upstream.hashOnOf(cluster);
    if (hashOn !== undefined) {
      if (hashOn.prompt !== undefined) return match.plan.engine?.method === 'generate' ? KEY_UNREAD : NO_KEY;
      const { path } = headerViewOf(request);
      if (hashOn.model === true) return NAMING_METHODS.has(path) ? KEY_UNREAD : NO_KEY;
      return path === MODEL_INFER || path === MODEL_STREAM_INFER ? KEY_UNREAD : NO_KEY;
    }
    const hashKey = this.upstream.hashKeyOf(cluster);
    const value = hashKey === undefined ? undefined : metadataValue(request, hashKey);
    return value === undefined ? NO_KEY : hashText(value);
  }

  /**
   * Routes a call anew if rules or clusters have changed since, or if it had no cluster yet. Returns the reply to a call
   * that can go nowhere; null: it can. The new rule may shorten the deadline, never extend it.
   */
  reroute(call: OutboundCall): LocalReply | null {
    if (call.routeDecision?.version === this.upstream.version && !call.cluster.isRetired) return null;
    const { original } = call;
    const { path } = headerViewOf(original);
    const found = this.routesOf(call).match(path);
    if (found === null) return this.unknownRoute(path);
    const match = call.match.plan.isOnce ? matchForCopy(found) : found;
    const { onlyCluster } = this.upstream;
    if (onlyCluster === null) {
      const refusal = this.applyRules(call, match);
      if (refusal !== null) return refusal;
    } else {
      call.block = original;
      call.routeDecision = null;
      call.match = match;
      call.cluster = onlyCluster;
    }
    call.plan = planOf(call);
    const deadlineMs = call.startMs + timeAllowedMs(call.match.plan.config, call.block);
    if (deadlineMs < call.deadlineMs) setDeadline(call, deadlineMs);
    return null;
  }

  /** What is known of its method has changed: its route anew, with the rule that it took. Null: there is none any more. */
  rematch(call: OutboundCall): Match | null {
    const routes = this.routesOf(call);
    const found = routes.match(headerViewOf(call.original).path);
    if (found === null) return null;
    const match = call.match.plan.isOnce ? matchForCopy(found) : found;
    return call.routeDecision === null ? match : routes.complete(match, call.routeDecision.rule);
  }

  /**
   * `reroute` for a call whose cluster has been retired while it waited, and for one whose first attempt has waited while rules, or what calls
   * stick by, have changed; null for all others.
   */
  leaveOutdated(call: OutboundCall): LocalReply | null {
    const isOutdated = call.cluster.isRetired || (call.attemptsHere === 0 && this.isOutdated(call));
    return isOutdated ? this.reroute(call) : null;
  }

  private isOutdated({ routeDecision, cluster }: OutboundCall): boolean {
    const { version, onlyCluster } = this.upstream;
    return routeDecision === null ? cluster !== onlyCluster : routeDecision.version !== version;
  }

  /** What the call sticks by may have changed since that was decided, and it is not read yet: its key is decided anew. */
  renewKey(call: OutboundCall): void {
    const decision = call.routeDecision!;
    if (decision.version === this.upstream.version) return;
    call.isRequestAwaited = false;
    call.routeDecision = { ...decision, key: this.keyOf(call, call.cluster), isBound: false };
  }

  noEndpoint(): LocalReply {
    return makeLocalReply(LocalReplyReasons.noEndpoint, { upstream: this.name });
  }

  unknownRoute(path: string): LocalReply {
    return makeLocalReply(LocalReplyReasons.unknownRoute, { path });
  }
}

/** Whether calls that name this may take the route. */
function mayTake({ models, version }: RouteConfig, called: Called | null): boolean {
  if (models === undefined) return true;
  if (called === NO_MODEL || !models.includes(called.model)) return false;
  return version === undefined || version === called.version;
}

/** By model, the versions that routes name. */
function versionsIn({ routes }: UpstreamConfig): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  for (const { models = [], version } of routes)
    for (const model of models)
      if (version !== undefined) getOrInsert(found, model, () => new Set<string>()).add(version);
  return found;
}

/**
 * As the route says; what becomes of a call that another upstream failed has to be known, so that its response is held: to the
 * end, or to the first message of a stream.
 */
function planOf({ match: { plan }, fallback }: OutboundCall): RoutePlan {
  if (plan.holdsResponse || fallback === null || !fallback.isAway) return plan;
  if (fallback.match.plan.holdsResponse)
    return { ...plan, holdsResponse: true, judgedAs: CallKind.unary, watch: MessageWatch.none };
  return { ...plan, firstMessage: FirstMessage.awaited };
}
