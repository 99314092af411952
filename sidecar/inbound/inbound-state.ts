import { ENGINE_CODECS } from '../codec/engines/engine-codecs.js';
import type { InboundConfig } from '../config/model.js';
import type { MemoryReading } from '../core/admission/memory-pressure.js';
import type { IntentionTable } from '../core/authorization/intentions.js';
import { MetadataKey } from '../core/metadata-key.js';
import { LocalReplyReasons } from '../core/outcome/local-reply-reason.js';
import type { UpstreamFailures } from '../core/retry/upstream-failures.js';
import { MethodKinds, type MethodList } from '../core/routing/method-kinds.js';
import type { HealthResponder } from '../health/model/responder.js';
import { Readiness } from '../http2/constants.js';
import { type HeaderField, makeField } from '../http2/hpack/field.js';
import type { HeaderBlock } from '../http2/hpack/header-list.js';
import { NO_FIELDS } from '../http2/stream.js';
import { BufferAdmission } from '../relay/buffer-admission.js';
import type { ActiveFaults } from '../relay/fault-injection.js';
import { inboundProfile } from '../relay/header-rewrite.js';
import { type LocalReply, makeLocalReply } from '../relay/local-reply.js';
import type { ReadingScope } from '../relay/named-model/model-name.js';
import { messageBytes } from '../relay/request-prefix.js';
import { Routes } from '../relay/route-table.js';
import type { DataPlaneContext } from '../transport/context.js';
import type { Session } from '../transport/session.js';
import { SharedLimits, UNKNOWN_SLOTS } from './admission.js';
import { InboundAuthorization } from './authorization.js';
import type { EngineFacts, TokenCounting } from './call-tokens.js';
import type { Caller } from './caller.js';
import { EndedQueues } from './ended-queues.js';
import type { FrontMethods } from './front-methods.js';
import { HealthWatches } from './health-watches.js';
import { LoadReporter } from './load-reporter.js';
import { LoadStreams } from './load-streams.js';
import { MethodLists } from './method-lists.js';
import type { BackendDeps, ServedModel } from './model-backend.js';
import { ModelBackend } from './model-backend.js';
import { ModelRouter } from './model-router.js';

/** What a request counts as that does not say how many tokens it asks for, where the file does not say it either. */
const DEFAULT_MAX_TOKENS = 4_096;
/** A stream on which nothing moves for this long gives its place at the model to others. */
const QUIET_AFTER_MS = 1_000;

/** What an inbound side is made with, beside its configuration. */
export interface InboundDeps {
  readonly service: string;
  readonly models: readonly ServedModel[];
  readonly intentions: IntentionTable;
  readonly context: DataPlaneContext;
  /** Bytes of a request that are kept for another attempt, at most. */
  readonly replayBytes: number;
  /** What the language-model engine behind it runs; absent or empty: nothing says it. */
  readonly engineModel?: string | undefined;
  /** Absent: calls are not refused for memory pressure. */
  readonly readMemory?: (() => MemoryReading) | undefined;
}

/**
 * What the calls of peers to the local models share: the models with their queues, routes, intentions, limits and reports, and how
 * all of it follows the configuration. `Inbound` (inbound.ts) takes a call through it.
 */
export class InboundState {
  readonly service: string;
  readonly context: DataPlaneContext;
  readonly served: ModelBackend[] = [];
  /** Methods that the sidecar answers for all models; null: none. */
  front: FrontMethods | null = null;
  /** Null: health checks go to the model. */
  health: HealthResponder | null = null;
  /** Failures of the services that the models call; null: they call none. */
  upstreamFailures: UpstreamFailures | null = null;
  /** Null: no faults are injected. */
  faults: ActiveFaults | null = null;
  /** Called with `readiness` after every change of a model: peers are told. */
  onReadiness: (readiness: Readiness) => void = () => {};
  /** Null: there is one model, and calls are not read for a model name. */
  readonly router: ModelRouter | null;
  /** Limits for all models together. */
  readonly limits: SharedLimits;
  private readonly deps: BackendDeps;
  readonly watches: HealthWatches;
  readonly load: LoadReporter;
  readonly loadStreams: LoadStreams;
  /** What the model service says of its methods. */
  readonly methodLists = new MethodLists((session, block) =>
    this.refusalOf(session.identity as Caller | null, block),
  );
  readonly kinds = new MethodKinds();
  /** What the queues of models that are gone have counted. */
  readonly ended = new EndedQueues();
  readonly authorization: InboundAuthorization;
  /** Calls are read for the model that they name: there are several, or limits or intentions are about single ones. */
  readsNames = false;
  /** How calls of a language-model engine are counted in tokens; null: there is none. */
  counting: TokenCounting | null = null;
  /** What callers are told of the model of that engine, in the headers of its answers. */
  readonly engineFields: readonly HeaderField[];
  /** How far rate limits make the messages of such calls be read. */
  rateScope: ReadingScope = 'beginning';
  readonly profile = inboundProfile();
  /** Memory for requests that are buffered whole before they are queued. */
  readonly buffers: BufferAdmission;
  routes: Routes;

  constructor(
    public config: InboundConfig,
    { service, models, intentions, context, replayBytes, engineModel = '', readMemory }: InboundDeps,
  ) {
    this.service = service;
    this.context = context;
    this.engineFields = engineModel === '' ? NO_FIELDS : [makeField(MetadataKey.engineModel, engineModel)];
    this.limits = new SharedLimits(config, readMemory);
    this.buffers = new BufferAdmission(context, messageBytes(replayBytes));
    const { limits, buffers } = this;
    const isOnly = models.length === 1 && models[0]!.version === undefined;
    const onState = () => this.onReadiness(this.readiness);
    this.deps = { service, context, limits, buffers, isOnly, all: this.served, onState };
    for (const model of models) this.served.push(new ModelBackend(model, config, this.deps));
    this.router = isOnly ? null : new ModelRouter(this.served, service, context.random);
    this.authorization = new InboundAuthorization(intentions, service, context.audit);
    this.watches = new HealthWatches(service, context);
    this.load = new LoadReporter(this.served);
    this.loadStreams = new LoadStreams(config.loadReport, {
      ...{ context, service, reporter: this.load },
      check: (session, block) => this.refusalOf(session.identity as Caller | null, block),
    });
    const strips = { stripsResponse: true, stripsReports: true };
    const options = { service, replayBytes, ...strips, quietAfterMs: QUIET_AFTER_MS, kinds: this.kinds };
    this.kinds.onChange = () => this.routes.forgetKinds();
    this.routes = new Routes(config.routes, { direction: 'inbound', ...options }, context.stats);
    this.decideReading();
  }

  private decideReading(): void {
    const { models = [], priority } = this.config.queue;
    const isLimited = models.length + (priority?.models ?? []).length > 0;
    const { rates } = this.limits;
    const isRated = rates?.hasModels === true;
    this.rateScope = rates?.hasVersions === true ? 'versions' : isRated ? 'whole' : 'beginning';
    const { hasModels } = this.authorization.intentions;
    this.readsNames = this.router !== null || isLimited || isRated || hasModels;
    this.counting = countingOf(this.config, this.service, this.limits.engineFacts);
    this.load.tellsTokens = this.countsWaitingTokens;
  }

  /** It is known how many tokens wait in the queues. */
  get countsWaitingTokens(): boolean {
    return this.counting?.codec.resume != null;
  }

  /** The models, each version one of its own where versions are told apart. */
  get backends(): readonly ModelBackend[] {
    return this.served;
  }

  /**
   * What peers are told of the models together. `loading`: calls would wait here, as one is starting and no other is ready; one
   * that is away refuses its calls by itself. `probation`: each process that is ready is on it, so that no model loses by it.
   */
  get readiness(): Readiness {
    const states = this.served.filter(({ isRetired }) => !isRetired).map(({ state }) => state);
    const ready = states.filter((state) => state.kind === 'ready');
    if (ready.length === 0)
      return states.some(({ kind }) => kind === 'starting') ? Readiness.loading : Readiness.serving;
    return ready.every(({ isOnProbation }) => isOnProbation === true)
      ? Readiness.probation
      : Readiness.serving;
  }

  /** One more model or version; only where there is more than one, or the first has a version. */
  addModel(model: ServedModel): ModelBackend {
    const backend = new ModelBackend(model, this.config, this.deps);
    this.served.push(backend);
    this.router?.add(backend);
    return backend;
  }

  /** A model that has retired. */
  removeModel(backend: ModelBackend): void {
    this.ended.add(backend);
    this.served.splice(this.served.indexOf(backend), 1);
    this.router?.remove(backend);
  }

  /** The reply to a peer that has no identity or may not call; null: it may. */
  refusalOf(caller: Caller | null, block: HeaderBlock): LocalReply | null {
    if (caller === null && this.config.mtls === 'strict') return makeLocalReply(LocalReplyReasons.noIdentity);
    return this.authorization.check(caller, block);
  }

  /** Takes over a changed configuration and changed intentions, as `setIntentions` does. */
  update(config: InboundConfig, intentions: IntentionTable, sessions: Iterable<Session>): void {
    this.config = config;
    this.loadStreams.config = config.loadReport;
    this.routes = this.routes.replaced(config.routes);
    this.limits.update(config);
    for (const { queues } of this.backends) queues.update(config);
    this.setIntentions(intentions, sessions);
    for (const backend of this.backends) backend.startWaiting();
  }

  /** The language-model engine has said how many calls it runs at once; 0: it does not say it. */
  setEngineSlots(slots: number): void {
    this.context.nowMs = this.context.clock.now();
    this.limits.engineSlots = slots || UNKNOWN_SLOTS;
    for (const backend of this.backends) {
      backend.queues.resize();
      backend.startWaiting();
    }
  }

  /** It has said how long its context is, in tokens; 0: it does not say it. Calls that wait count as before. */
  setEngineContext(tokens: number): void {
    this.limits.engineFacts.contextTokens = tokens || Number.POSITIVE_INFINITY;
  }

  /** The model service has said which methods it has; undefined: it does not say it. */
  describe(list: MethodList | undefined): void {
    this.methodLists.set(list);
    this.kinds.describe(list === undefined ? [] : [list]);
  }

  /** `sessions`: the open connections of peers; calls on them that are no longer allowed are ended. */
  setIntentions(intentions: IntentionTable, sessions: Iterable<Session>): void {
    this.context.nowMs = this.context.clock.now();
    this.authorization.intentions = intentions;
    this.decideReading();
    this.authorization.recheck(sessions);
  }
}

function countingOf(
  { engine, defaultMaxTokens = DEFAULT_MAX_TOKENS }: InboundConfig,
  service: string,
  facts: EngineFacts,
): TokenCounting | null {
  return engine === undefined ? null : { codec: ENGINE_CODECS[engine], service, defaultMaxTokens, facts };
}
