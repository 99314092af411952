import type { EngineCodec } from '../codec/engines/engine-codec.js';
import type { RouteConfig } from '../config/model.js';
import { defaultIdleTimeoutMs, defaultTimeoutMs } from '../config/route-defaults.js';
import { CallKind } from '../core/balancing/balancer.js';
import { allowedMs, UNLIMITED_MS } from '../core/deadline/deadline.js';
import { parseGrpcTimeout } from '../core/deadline/grpc-timeout.js';
import { type OutcomeTable, outcomesWith } from '../core/outcome/outcome.js';
import { Status } from '../core/outcome/status.js';
import { isValidPath, KNOWN_UNARY, RouteTable } from '../core/routing/method.js';
import { MethodKind, type MethodKinds } from '../core/routing/method-kinds.js';
import type { TrafficRoute } from '../core/routing/route-match.js';
import { LONGEST_SILENCE_MS } from '../core/stats/engine-silence.js';
import { extraValue } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { Token } from '../http2/hpack/tokens.js';
import { getOrInsert } from '../runtime/get-or-insert.js';
import type { CallStats, StatsRegistry } from '../telemetry/call-stats.js';
import { type CallPlan, type EnginePlan, FirstMessage, MessageWatch, NEVER } from './call.js';
import { HeaderEditor } from './header-rewrite.js';
import { messageBytes } from './request-prefix.js';

/** What a route asks of its calls, with its configuration. */
export interface RoutePlan extends CallPlan {
  readonly config: RouteConfig;
  /** The configuration as the file has it, where that of a method differs. */
  readonly route: RouteConfig;
  /** What the statuses of the service count as. */
  readonly outcomes: OutcomeTable;
  /** Of the language-model engine that is called; null: none that is known. */
  readonly calledEngine: EngineCodec | null;
  /** Of copies whose response has no caller: sent once and nowhere else, whatever rules say. */
  readonly isOnce: boolean;
}

/** A path's route and the counters of its calls. There are few, whatever paths callers invent, so that what is kept for one is bounded. */
export interface Match {
  readonly plan: RoutePlan;
  readonly stats: CallStats;
}

/** Paths remembered; callers that invent methods do not grow memory beyond this. */
const REMEMBERED_PATHS = 1024;

/** What a call is allowed, ms from its arrival, by its route and by what it asks for itself; Infinity: no limit. */
export function timeAllowedMs({ timeoutMs, maxTimeoutMs }: RouteConfig, block: HeaderBlock): number {
  const asked = extraValue(block, Token.grpcTimeout);
  return allowedMs(asked === undefined ? UNLIMITED_MS : parseGrpcTimeout(asked), timeoutMs, maxTimeoutMs);
}

/** Whether that is what it asks for itself. */
export function isTimeAsked(config: RouteConfig, block: HeaderBlock): boolean {
  const asked = extraValue(block, Token.grpcTimeout);
  return asked !== undefined && parseGrpcTimeout(asked) === timeAllowedMs(config, block);
}

/** What all routes of one side share. */
export interface RoutesOptions {
  readonly direction: 'inbound' | 'outbound';
  readonly service: string;
  /** The model that all of its calls name, for their counters; absent: they are not told apart by it. */
  readonly model?: string;
  /** The version of it that all of its calls name; absent: they are not told apart by it. */
  readonly version?: string;
  readonly replayBytes: number;
  readonly stripsResponse: boolean;
  readonly stripsReports: boolean;
  /** Absent: not watched. */
  readonly quietAfterMs?: number;
  /** The language-model engine behind it; absent: none that is known. */
  readonly engine?: EngineCodec;
  /** What is known of methods whose route is `auto`; absent: nothing, and they are streams. */
  readonly kinds?: MethodKinds;
}

/** A route, and its plan for methods of each kind, made as they are needed. */
interface RouteEntry {
  readonly methods: readonly string[];
  readonly plan: RoutePlan;
  readonly byKind: Map<MethodKind, RoutePlan>;
  /** The same for the methods of an engine, by their paths. */
  readonly byEngineMethod: Map<string, RoutePlan>;
}

/** Waits between attempts that the registry asked for, ms: as everywhere else by default. */
const BACKOFF = { backoff: { baseMs: 25, maxMs: 250 } };

/** The routes of one side, made ready for calls: the plan of each, and which one a path belongs to, remembered. */
export class Routes {
  private readonly table: RouteTable<RouteEntry>;
  private readonly remembered = new Map<string, Match | null>();
  private readonly statsByMethod = new Map<string, CallStats>();
  private readonly matches = new Map<RoutePlan, Map<CallStats, Match>>();
  private readonly variants = new Map<TrafficRoute, Map<Match, Match>>();

  constructor(
    routes: readonly RouteConfig[],
    private readonly options: RoutesOptions,
    private readonly registry: StatsRegistry,
    before?: Routes,
  ) {
    this.table = new RouteTable(
      routes.map((config) => ({
        methods: config.methods,
        plan: planOf(config, options),
        byKind: new Map(),
        byEngineMethod: new Map(),
      })),
    );
    if (before !== undefined)
      for (const [method, each] of before.statsByMethod) this.statsByMethod.set(method, each);
  }

  /** The same with other routes; the counters of methods go on. */
  replaced(routes: readonly RouteConfig[]): Routes {
    return new Routes(routes, this.options, this.registry, this);
  }

  /** The route of a path; null when the path is invalid or no route takes it. */
  match(path: string): Match | null {
    const known = this.remembered.get(path);
    if (known !== undefined) return known;
    const found = this.find(path);
    if (this.remembered.size < REMEMBERED_PATHS) this.remembered.set(path, found);
    return found;
  }

  /** The match as a traffic rule completes it: the rule speaks where the file's route says nothing. All else of the plan stays. */
  complete(match: Match, rule: TrafficRoute): Match {
    const { timeoutMs, idleTimeoutMs, retry, responseHeaders } = rule;
    if ([timeoutMs, idleTimeoutMs, retry, responseHeaders].every((said) => said === undefined)) return match;
    const variants = getOrInsert(this.variants, rule, () => new Map());
    let variant = variants.get(match);
    if (variant === undefined) {
      const { plan: own } = match;
      const config = completed(own, rule);
      const isRetried = config.retry !== own.config.retry;
      const plan: RoutePlan = {
        ...own,
        config,
        idleTimeoutMs: config.idleTimeoutMs,
        firstMessage: isRetried ? firstMessageOn(config, this.options) : own.firstMessage,
        responseEditor: responseHeaders === undefined ? null : new HeaderEditor(responseHeaders),
      };
      variant = { ...match, plan };
      variants.set(match, variant);
    }
    return variant;
  }

  /** What is known of methods has changed: their routes are looked up anew. */
  forgetKinds(): void {
    this.remembered.clear();
  }

  /** The rules that were in force are not any more. */
  forgetRules(): void {
    this.variants.clear();
  }

  private find(path: string): Match | null {
    if (!isValidPath(path)) return null;
    const route = this.table.match(path);
    if (route === undefined) return null;
    const isNamed =
      this.table.names(path) || KNOWN_UNARY.has(path) || this.options.kinds?.isDescribed(path) === true;
    return this.matchOf(
      this.planFor(route, path),
      this.statsOf(isNamed || this.isOfEngine(path) ? path : 'other'),
    );
  }

  /** The plan of a route for a method: of `auto`, by what is known of the method. */
  private planFor({ plan, byKind, byEngineMethod }: RouteEntry, path: string): RoutePlan {
    const { options } = this;
    // A unary route holds back the tokens of Generate, which is not read there. Its other methods are unary wherever they are named.
    const isHeld = plan.config.kind === 'unary' && path === options.engine?.generate;
    if (options.engine !== undefined && this.isOfEngine(path) && !isHeld)
      return getOrInsert(byEngineMethod, path, () => planOfEngine(plan, options.engine!, path, options));
    if (plan.config.kind !== 'auto' || options.kinds === undefined) return plan;
    const kind = options.kinds.of(path);
    return getOrInsert(byKind, kind, () => planOfKind(plan, kind, options));
  }

  private isOfEngine(path: string): boolean {
    const { engine } = this.options;
    if (engine === undefined) return false;
    return path === engine.generate || path === engine.abort || engine.queries.includes(path);
  }

  private matchOf(plan: RoutePlan, stats: CallStats): Match {
    const byStats = getOrInsert(this.matches, plan, () => new Map());
    return getOrInsert(byStats, stats, () => ({ plan, stats }));
  }

  /** Counters for a method; calls without a route count under `other`. */
  statsOf(method: string): CallStats {
    return getOrInsert(this.statsByMethod, method, () =>
      this.registry.callStats({ ...this.options, method }),
    );
  }
}

/** A copy whose route has no limit of its own ends after this long. */
const LONGEST_COPY_MS = 60_000;

const copyMatches = new WeakMap<Match, Match>();

/** The match for a copy whose response has no caller: without what would send it again or elsewhere, and bounded in time. */
export function matchForCopy(match: Match): Match {
  let found = copyMatches.get(match);
  if (found === undefined) {
    const { retry, hedge, fallback, split, mirror, ...config } = match.plan.config;
    const { maxTimeoutMs = 0 } = config;
    const longest = maxTimeoutMs > 0 ? Math.min(maxTimeoutMs, LONGEST_COPY_MS) : LONGEST_COPY_MS;
    // No caller waits for its response, so that it is held as far as a longer one would be kept.
    const { sampleBytes, holdBytes } = match.plan;
    const plan = {
      ...match.plan,
      config: { ...config, maxTimeoutMs: longest },
      isOnce: true,
      holdBytes: Math.max(holdBytes, sampleBytes),
    };
    found = { ...match, plan };
    copyMatches.set(match, found);
  }
  return found;
}

/**
 * What the sidecar retries on its own, questions that only read and Generate, it retries as ever: a rule for all methods would take away what keeps
 * answers of engines.
 */
function completed({ config, isOnce }: RoutePlan, rule: TrafficRoute): RouteConfig {
  const isTimeoutOurs = config.timeoutMs !== defaultTimeoutMs(config.kind);
  const isIdleOurs = config.idleTimeoutMs !== defaultIdleTimeoutMs(config.kind);
  return {
    ...config,
    ...(rule.timeoutMs === undefined || isTimeoutOurs ? {} : { timeoutMs: rule.timeoutMs }),
    ...(rule.idleTimeoutMs === undefined || isIdleOurs ? {} : { idleTimeoutMs: rule.idleTimeoutMs }),
    // A route that asks for attempts after failures says that they do no harm.
    ...(rule.retry === undefined || config.retry !== undefined || isOnce
      ? {}
      : { idempotent: true, retry: { ...rule.retry, ...BACKOFF } }),
  };
}

/**
 * The plan of a method whose route is `auto`. On the inbound side a method that is described as unary keeps the times of the route:
 * there the caller's deadline is what counts.
 */
function planOfKind(plan: RoutePlan, kind: MethodKind, options: RoutesOptions): RoutePlan {
  const isOutbound = options.direction === 'outbound';
  switch (kind) {
    case MethodKind.described: {
      const times = isOutbound ? plan.config.ifUnary : {};
      const unary = planOf({ ...plan.config, ...times, kind: 'unary' }, options);
      return { ...unary, route: plan.route, watch: MessageWatch.described, isResumable: false };
    }
    case MethodKind.single:
      return isOutbound ? { ...plan, judgedAs: CallKind.unary, watch: MessageWatch.single } : plan;
    case MethodKind.unknown:
      return isOutbound ? { ...plan, watch: MessageWatch.counted } : plan;
    case MethodKind.streaming:
      return plan;
  }
}

/** As often as a method that only reads (config/route-defaults.ts), and also when the process behind a front has died. */
const ENGINE_RETRY = { attempts: 3, on: [Status.UNAVAILABLE, Status.INTERNAL], ...BACKOFF };

/**
 * The plan of a method of an engine. Generate is a stream that changes nothing but a cache: it may be repeated, and resumed. Its other
 * methods are unary, and Abort is read.
 */
function planOfEngine(plan: RoutePlan, codec: EngineCodec, path: string, options: RoutesOptions): RoutePlan {
  const { config, route } = plan;
  const isOutbound = options.direction === 'outbound';
  if (path !== codec.generate) {
    const times = isOutbound ? config.ifUnary : {};
    const engine: EnginePlan | null =
      path === codec.abort ? { codec, method: 'abort', isApproximate: false } : null;
    return { ...planOf({ ...config, ...times, kind: 'unary' }, options), route, isResumable: false, engine };
  }
  const retry = config.retry ?? ENGINE_RETRY;
  const own = planOf({ ...config, kind: 'streaming', idempotent: true, retry }, options);
  const messageTimeoutMs =
    own.messageTimeoutMs || (isOutbound && codec.resume !== null ? LONGEST_SILENCE_MS : 0);
  const engine: EnginePlan = { codec, method: 'generate', isApproximate: config.resume === 'approximate' };
  return { ...own, route, isResumable: isOutbound, messageTimeoutMs, engine };
}

function planOf(config: RouteConfig, options: RoutesOptions, isOnce = false): RoutePlan {
  return {
    config,
    route: config,
    judgedAs: config.kind === 'unary' ? CallKind.unary : CallKind.stream,
    watch: MessageWatch.none,
    outcomes: outcomesWith(config.outcomes),
    calledEngine: options.engine ?? null,
    isOnce,
    holdsResponse: config.kind === 'unary',
    firstMessage: firstMessageOn(config, options),
    holdBytes: messageBytes(config.holdBytes),
    sampleBytes: messageBytes(config.sampleBytes),
    idleTimeoutMs: config.idleTimeoutMs,
    attemptTimeoutMs: config.firstMessageTimeoutMs ?? config.attemptTimeoutMs,
    isResumable: options.direction === 'outbound' && config.resumable === true,
    isDeterministic: config.deterministic === true,
    engine: null,
    timesFirstMessage: config.firstMessageTimeoutMs !== undefined,
    messageTimeoutMs: options.direction === 'outbound' ? (config.messageTimeoutMs ?? 0) : 0,
    endsSilent: config.messageTimeoutMs !== undefined,
    quietAfterMs: options.quietAfterMs ?? 0,
    drainTimeoutMs: config.kind === 'unary' ? NEVER : (config.drainTimeoutMs ?? NEVER),
    replayBytes: messageBytes(config.replayBytes ?? options.replayBytes),
    stripsResponse: options.stripsResponse,
    stripsReports: options.stripsReports,
    responseEditor: null,
  };
}

function firstMessageOn(config: RouteConfig, { direction }: RoutesOptions): FirstMessage {
  return direction === 'outbound' ? firstMessageOf(config) : FirstMessage.ignored;
}

/** Headers are held back only on routes that can make something of it: an observer of rare events may wait for them. */
function firstMessageOf({ kind, idempotent, ...route }: RouteConfig): FirstMessage {
  if (kind === 'unary') return FirstMessage.ignored;
  const { retry, hedge, fallback, firstMessageTimeoutMs } = route;
  const mayRepeat = idempotent && (retry !== undefined || hedge !== undefined);
  return mayRepeat || fallback !== undefined || firstMessageTimeoutMs !== undefined
    ? FirstMessage.awaited
    : FirstMessage.timed;
}
