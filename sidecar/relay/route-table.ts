import type { RouteConfig } from '../config/model.js';
import { defaultIdleTimeoutMs, defaultTimeoutMs } from '../config/route-defaults.js';
import { allowedMs, UNLIMITED_MS } from '../core/deadline/deadline.js';
import { parseGrpcTimeout } from '../core/deadline/grpc-timeout.js';
import { type OutcomeTable, outcomesWith } from '../core/outcome/outcome.js';
import { isValidPath, KNOWN_UNARY, RouteTable } from '../core/routing/method.js';
import type { TrafficRoute } from '../core/routing/route-match.js';
import { extraValue } from '../http2/header-view.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { Token } from '../http2/hpack/tokens.js';
import { getOrInsert } from '../runtime/get-or-insert.js';
import type { CallStats, StatsRegistry } from '../telemetry/call-stats.js';
import { type CallPlan, FirstMessage } from './call.js';
import { HeaderEditor } from './header-rewrite.js';
import { messageBytes } from './request-prefix.js';

/** What a route asks of its calls, with its configuration. */
export interface RoutePlan extends CallPlan {
  readonly config: RouteConfig;
  /** What the statuses of the service count as. */
  readonly outcomes: OutcomeTable;
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
  readonly replayBytes: number;
  readonly stripsResponse: boolean;
  readonly stripsReports: boolean;
  /** Absent: not watched. */
  readonly quietAfterMs?: number;
}

/** Waits between attempts that the registry asked for, ms: as everywhere else by default. */
const BACKOFF = { backoff: { baseMs: 25, maxMs: 250 } };

/** The routes of one side, made ready for calls: the plan of each, and which one a path belongs to, remembered. */
export class Routes {
  private readonly table: RouteTable<{ methods: readonly string[]; plan: RoutePlan }>;
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
      routes.map((config) => ({ methods: config.methods, plan: planOf(config, options) })),
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

  /** The match as a traffic rule completes it: the rule speaks where the file's route says nothing. */
  complete(match: Match, rule: TrafficRoute): Match {
    const { timeoutMs, idleTimeoutMs, retry, responseHeaders } = rule;
    if ([timeoutMs, idleTimeoutMs, retry, responseHeaders].every((said) => said === undefined)) return match;
    const variants = getOrInsert(this.variants, rule, () => new Map());
    let variant = variants.get(match);
    if (variant === undefined) {
      const { config, isOnce } = match.plan;
      const plan = planOf(completed(config, rule, isOnce), this.options, isOnce);
      const responseEditor = responseHeaders === undefined ? null : new HeaderEditor(responseHeaders);
      variant = { ...match, plan: { ...plan, responseEditor } };
      variants.set(match, variant);
    }
    return variant;
  }

  /** The rules that were in force are not any more. */
  forgetRules(): void {
    this.variants.clear();
  }

  private find(path: string): Match | null {
    if (!isValidPath(path)) return null;
    const route = this.table.match(path);
    if (route === undefined) return null;
    const label = this.table.names(path) || KNOWN_UNARY.has(path) ? path : 'other';
    return this.matchOf(route.plan, this.statsOf(label));
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

function completed(config: RouteConfig, rule: TrafficRoute, isOnce: boolean): RouteConfig {
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

function planOf(config: RouteConfig, options: RoutesOptions, isOnce = false): RoutePlan {
  return {
    config,
    outcomes: outcomesWith(config.outcomes),
    isOnce,
    holdsResponse: config.kind === 'unary',
    firstMessage: options.direction === 'outbound' ? firstMessageOf(config) : FirstMessage.ignored,
    holdBytes: messageBytes(config.holdBytes),
    sampleBytes: messageBytes(config.sampleBytes),
    idleTimeoutMs: config.idleTimeoutMs,
    attemptTimeoutMs: config.firstMessageTimeoutMs ?? config.attemptTimeoutMs,
    isResumable: options.direction === 'outbound' && config.resumable === true,
    isDeterministic: config.deterministic === true,
    timesFirstMessage: config.firstMessageTimeoutMs !== undefined,
    quietAfterMs: options.quietAfterMs ?? 0,
    replayBytes: messageBytes(config.replayBytes ?? options.replayBytes),
    stripsResponse: options.stripsResponse,
    stripsReports: options.stripsReports,
    responseEditor: null,
  };
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
