/** A plan out of chance: each run switches on a random part of the features, so that rare pairs of them meet. */
import { Dice } from '../dice.js';
import { consulBlock, consulFaults, drawConsul } from './draw-consul.js';
import { diskAndDnsFaults, dnsOf, logsOf } from './draw-disk.js';
import { generateOptions } from './draw-engine.js';
import {
  failureOf,
  isWide,
  LEAST_PAUSE_MS,
  LoadProfile,
  longAnswer,
  longShare,
  MOST_PAUSE_MS,
  MOST_PAUSES,
  metadataOf,
  PARTIAL_SHARE,
  tokensOf,
  WIDE_READ_SLOWLY,
} from './draw-load.js';
import {
  breakerOf,
  coldStartOf,
  collectorFaults,
  ejectionOf,
  endpointOf,
  engineOf,
  hashedOn,
  inboundRoutes,
  intentionsOf,
  loadReportOf,
  localityOf,
  poolOf,
  priorityOf,
  queueOf,
  roomyLimits,
  saidOf,
  saysOf,
  slowStartOf,
  telemetryOf,
  upstreamOf,
} from './draw-more.js';
import { operations } from './draw-operations.js';
import { type Reachable, rateLimits, reachable, SMALL_BUDGETS } from './draw-options.js';
import { hostNumber, PeerDraw } from './draw-peers.js';
import { drawRollout, INFER, INFERENCE_ROUTES, modelOf, rolloutFile, STREAM_INFER } from './draw-rollout.js';
import { PACKAGE, plainRoutes, routesOf, SERVICE, SHADOW } from './draw-routes.js';
import { FEATURES, type Feature, NEEDS, OF_CONSUL, OPTIONS } from './features.js';
import { amountOf, inMidStream, LASTING, metAgain, outageOf } from './mid-stream.js';
import {
  type CallerPlan,
  type CallPlan,
  DNS_FAULTS,
  ENCODING,
  type FaultPlan,
  GENERATE,
  HARMS,
  LAST_CALLS_MS,
  type Plan,
  type ReaderPlan,
  type ReplicaPlan,
} from './plan.js';
import { DENSITIES, drawShares, type Load, MOST_SHARE } from './themes.js';

/** Calls that show whether the mesh is as it was before. */
const LAST_CALLS = 30;
const LONGEST_USUAL_MS = 300;
/** Of a run in which a certificate is expired for so long that calls by it end. */
const WITH_EXPIRY_MS = 28_000;

/** @param only features to choose from; absent: all. */
export function drawPlan(seed: number, only?: readonly string[]): Plan {
  return new Draw(seed, only).plan();
}

/** The files with which the sidecars of a run begin, and those of a reload of each. */
export function drawFiles(seed: number): readonly object[] {
  return new Draw(seed, undefined).files();
}

class Draw {
  private readonly dice: Dice;
  private features: Set<Feature> = new Set();
  /** Switched on by reloads only. */
  private readonly later = new Set<Feature>();
  private readonly profile: LoadProfile;
  private readonly load: Load;
  private readonly forMs: number;
  private readonly isExpiryLong: boolean;
  private readonly peers: PeerDraw;

  constructor(
    private readonly seed: number,
    only: readonly string[] | undefined,
  ) {
    this.dice = new Dice(seed, 'plan');
    this.profile = new LoadProfile(this.dice.of('profile'));
    this.peers = new PeerDraw(this.dice, this.hasAny, this.profile.mostBytes);
    const { isCalm, shareOf, load } = drawShares(this.dice);
    this.load = load;
    const usualMs = this.dice.pick(load === 'steady' ? [8_000, 20_000] : [4_000, 8_000, 20_000]);
    for (const name of Object.keys(FEATURES)) {
      const isOn = this.dice.of(name).chance(shareOf(name as Feature));
      if (!isOn || (only !== undefined && !only.includes(name))) continue;
      if (isCalm && (HARMS as readonly string[]).includes(name) && name !== 'reload') continue;
      if (OF_CONSUL.has(name) && !this.features.has('consul')) continue;
      if (NEEDS[name]?.some((each) => !this.features.has(each as Feature)) === true) continue;
      if (isCalm && name === 'identity-expires') continue;
      this.features.add(name as Feature);
    }
    this.isExpiryLong = this.has('identity-expires') && this.dice.of('expiry').chance(0.6);
    this.forMs = this.isExpiryLong ? WITH_EXPIRY_MS : usualMs;
    if (this.has('consul')) for (const name of ['dns', ...DNS_FAULTS] as const) this.features.delete(name);
  }

  private has(feature: Feature): boolean {
    return this.features.has(feature);
  }

  /** How much of a feature this run has: most calls or faults of a run are touched by it, or few. */
  private intensity(feature: Feature): number {
    return this.dice.of(`intensity ${feature}`).pick([1 / 3, 1, 1, 4]);
  }

  private readonly hasAny = (feature: string): boolean => this.features.has(feature as Feature);

  files(): object[] {
    const replicas = this.replicas();
    const callers = this.callers(replicas);
    const all = [...replicas, ...callers];
    const next = all.map(({ name }) =>
      this.reloaded(name, replicas, callers, this.dice.of(`reload ${name}`)),
    );
    return [...all.map(({ file }) => file), ...next];
  }

  plan(): Plan {
    const { dice, seed, forMs } = this;
    const replicas = this.replicas();
    const callers = this.callers(replicas);
    const calls = this.calls(callers, forMs);
    const faults = this.faults(replicas, callers, calls, forMs);
    return {
      seed,
      features: [...new Set([...this.features, ...this.later])],
      forMs,
      links: {
        local: this.peers.link(0.02),
        mesh: this.peers.link(this.has('slow-links') ? dice.pick([2, 10, 40]) : 0.1),
      },
      replicas,
      callers,
      calls,
      faults,
      ...(this.has('certificates') ? { certificateMs: dice.of('certificates').pick([4_000, 9_000]) } : {}),
      ...(this.has('consul')
        ? { consul: drawConsul(dice.of('consul'), this.hasAny, replicas, callers) }
        : {}),
      ...(this.has('rollout') ? { rollout: drawRollout(dice.of('rollout'), forMs) } : {}),
      isOverloaded: this.has('overload'),
    };
  }

  // ---- models and their sidecars ----

  private get replicaCount(): number {
    return this.dice.of('replicas').between(2, 4);
  }

  /** Calls that each of them runs at once. */
  private get parallel(): number {
    return this.dice.of('replica').pick(this.load === 'steady' ? [1, 2, 2, 4] : [1, 2, 4, 8]);
  }

  private replicas(): ReplicaPlan[] {
    const names = Array.from({ length: this.replicaCount }, (_, i) => `r${i + 1}`);
    const replicas = names.map((name) => this.replica(name, SERVICE));
    const hasShadow = this.has('mirror') || this.has('split') || this.has('fallback-upstream');
    return hasShadow ? [...replicas, this.replica('s1', SHADOW)] : replicas;
  }

  private replica(name: string, service: string): ReplicaPlan {
    const dice = this.dice.of(`replica ${name}`);
    const shared = this.dice.of('replica');
    const quirks = this.peers.quirks(name);
    const { parallel } = this;
    return {
      name,
      service,
      parallel: service === SHADOW ? dice.pick([1, 4, 16]) : parallel,
      slowness: 1,
      // A mirror or fallback target may be the slow and narrow one.
      quirks: service === SHADOW && dice.chance(0.4) ? { ...quirks, maxConcurrentStreams: 4 } : quirks,
      ...this.answers(dice.of('answers')),
      ...saysOf(dice.of('says'), this.hasAny),
      tokensPerMessage: (this.hasSameMessages ? shared.of('tokens') : dice).pick([1, 3, 8]),
      file: this.replicaFile(name, service, parallel),
    };
  }

  private get resumes(): boolean {
    return this.has('resuming-models') && this.dice.of('resumes').chance(0.6);
  }

  /** A service that resumes has the same messages at each replica; how they are compressed may differ. */
  private answers(dice: Dice): Pick<ReplicaPlan, 'encoding' | 'resumes' | 'emptyShare'> {
    return {
      ...(this.has('encodings') && dice.chance(0.5) ? { encoding: ENCODING } : {}),
      ...(this.resumes ? { resumes: true } : {}),
      ...(this.has('empty-answers') ? { emptyShare: 0.5 } : {}),
    };
  }

  /** Whether all replicas put the same tokens into the same messages. */
  private get hasSameMessages(): boolean {
    return this.resumes || this.dice.of('same messages').chance(0.5);
  }

  private replicaFile(name: string, service: string, parallel: number): object {
    const dice = this.dice.of(`file ${service}`);
    const isOverloaded = this.has('overload');
    const isVersioned = this.has('rollout') && service === SERVICE;
    const isEngine = this.has('engine-queue') && service === SERVICE;
    return {
      service,
      instance: name,
      identity: { cert: 'a', key: 'b', roots: 'c' },
      inbound: {
        ...(isVersioned ? { golden: { models: `/sim/${name}/models` } } : {}),
        listen: `10.0.0.${hostNumber(name)}:9443`,
        local: `unix:/sim/${name}.sock`,
        reflection: this.has('said-options') && dice.of('reflection').chance(0.5),
        ...(isEngine ? engineOf(this.dice.of(`engine ${name}`), this.hasAny) : {}),
        ...loadReportOf(this.dice.of(`reports ${name}`), this.hasAny),
        ...(this.has('consul') ? {} : intentionsOf(this.hasAny, service)),
        queue: {
          concurrency: parallel + dice.pick([0, 0, 1, 4]),
          max_waiting: this.has('short-queue') || isOverloaded ? dice.pick([1, 4, 16]) : 4_096,
          fair: this.has('fair'),
          ...(this.has('adaptive') && !(isEngine && this.has('auto-queue'))
            ? { adaptive: this.adaptive }
            : {}),
          ...(this.has('priority') ? { priority: priorityOf(this.hasAny) } : {}),
          ...queueOf(dice, this.hasAny, isEngine),
        },
        ...(this.has('rate-limit')
          ? rateLimits(
              dice.pick([5, 50]),
              this.has('engines') && service === SERVICE ? this.dice : undefined,
              this.hasAny,
            )
          : {}),
        routes: inboundRoutes(this.hasAny, PACKAGE, this.has('rollout') ? INFERENCE_ROUTES : []),
      },
      ...this.reports(name),
      ...(isVersioned ? rolloutFile(this.dice.of('rollout file'), name) : {}),
      ...this.limits(name),
      ...consulBlock(this.dice.of(`consul ${name}`), this.hasAny, `10.0.0.${hostNumber(name)}`, name),
    };
  }

  /** What the sidecar tells of itself, and to whom. */
  private reports(name: string): object {
    const telemetry = telemetryOf(this.dice.of(`telemetry ${name}`), this.hasAny);
    return {
      ...logsOf(this.dice.of(`logs ${name}`), this.hasAny, name),
      ...telemetry,
      ...saidOf(this.dice.of(`said ${name}`), this.hasAny),
    };
  }

  private get adaptive(): object {
    return this.has('said-options') ? { min: 1, max: 64 } : {};
  }

  private limits(name: string): object {
    const dice = this.dice.of(`limits ${name}`);
    const limits = {
      ...roomyLimits(this.hasAny),
      ...(this.has('little-memory') && dice.chance(0.7)
        ? { memory_budget: '16MiB', replay_bytes_per_call: '1MiB' }
        : {}),
      ...(this.has('few-streams') && dice.chance(0.5) ? { max_concurrent_streams: dice.pick([8, 32]) } : {}),
    };
    return Object.keys(limits).length === 0 ? {} : { limits };
  }

  // ---- applications and their sidecars ----

  private callers(replicas: readonly ReplicaPlan[]): CallerPlan[] {
    const count = this.has('several-callers') ? this.dice.of('callers').between(2, 3) : 1;
    return Array.from({ length: count }, (_, i): CallerPlan => {
      const name = `c${i + 1}`;
      return {
        name,
        service: `app${i + 1}`,
        quirks: this.peers.quirks(name),
        connections: this.dice.of(name).between(1, 3),
        file: this.callerFile(name, i, { replicas }, this.dice.of(`caller file ${name}`)),
      };
    });
  }

  private callerFile(
    name: string,
    index: number,
    { replicas, idle = '', isFew = false }: Reachable,
    dice: Dice,
  ): object {
    const upstream = (service: string, port: number): object => ({
      listen: `10.0.1.${index + 1}:${port}`,
      ...(this.has('consul')
        ? {}
        : this.has('dns')
          ? dnsOf(this.dice.of('dns'), service, isFew && service === SERVICE, this.has('said-options'))
          : {
              endpoints: replicas
                .filter((each) => each.service === service)
                .map((each) => {
                  const address = `10.0.0.${hostNumber(each.name)}:9443`;
                  return endpointOf(address, each.name, each.name === idle, this.hasAny);
                }),
            }),
      ...(this.has('engines') && service === SERVICE ? { engine: 'vllm' } : {}),
      balance: this.balance(dice.of('balance'), service),
      pool: poolOf(this.hasAny),
      ...upstreamOf(this.dice.of(`upstream ${service}`), this.hasAny),
      ...(this.has('consul') || this.has('dns') ? {} : localityOf(this.hasAny)),
      ...(this.has('small-budget') ? { budget: this.dice.of('budget').pick(SMALL_BUDGETS) } : {}),
      ejection: ejectionOf(this.dice.of('ejections'), this.hasAny),
      ...(this.has('slow-start') ? { slow_start: slowStartOf(this.hasAny) } : {}),
      ...(this.has('cold-start') ? { cold_start: coldStartOf(this.hasAny) } : {}),
      ...(this.has('breaker') ? { breaker: breakerOf(dice, this.hasAny) } : {}),
      routes: service === SERVICE ? this.routes(dice, replicas) : plainRoutes(this.hasAny, dice),
    });
    const hasShadow = replicas.some(({ service }) => service === SHADOW);
    return {
      service: `app${index + 1}`,
      instance: name,
      identity: { cert: 'a', key: 'b', roots: 'c' },
      outbound: {
        upstreams: {
          [SERVICE]: upstream(SERVICE, 8_800),
          ...(hasShadow ? { [SHADOW]: upstream(SHADOW, 8_801) } : {}),
        },
      },
      ...this.reports(name),
      ...this.limits(name),
      ...consulBlock(this.dice.of(`consul ${name}`), this.hasAny, `10.0.1.${index + 1}`, name),
    };
  }

  private balance(dice: Dice, service: string): object {
    if (this.has('prefix') && this.has('engines') && service === SERVICE)
      return { kind: 'prefix', cache_tokens: dice.of('prefix').pick([1_024, 262_144]) };
    if (this.has('ring-hash') && this.has('prompt-hash') && service === SERVICE)
      return { kind: 'ring-hash', hash_on: { prompt: { tokens: dice.of('prompt').pick([1, 4, 256]) } } };
    if (this.has('ring-hash')) return { kind: 'ring-hash', ...hashedOn(dice.of('hashed'), this.hasAny) };
    if (this.has('round-robin') && dice.chance(0.85)) return { kind: 'round-robin' };
    return { kind: 'least-loaded' };
  }

  private routes(dice: Dice, replicas: readonly ReplicaPlan[]): object[] {
    const hasShadow = replicas.some(({ service }) => service === SHADOW);
    const isByModel = this.dice.of('by model').chance(0.5);
    return routesOf(dice, { has: this.hasAny, hasShadow, isInferSafe: this.isInferSafe, isByModel });
  }

  /** Calls of a rollout have one unary method: it is idempotent in this run, or not. */
  private get isInferSafe(): boolean {
    return this.dice.of('infer').chance(0.5);
  }

  // ---- load ----

  private calls(callers: readonly CallerPlan[], forMs: number): CallPlan[] {
    const dice = this.dice.of('load');
    const isOverloaded = this.has('overload');
    const perSecond = dice.pick(this.load === 'steady' ? [30, 80, 80] : [10, 30, 80]);
    const count = Math.min(
      this.has('mixed-durations') || this.load === 'steady' ? 700 : isOverloaded ? 600 : 400,
      Math.floor((forMs / 1_000) * perSecond),
    );
    const calls: CallPlan[] = [];
    let atMs = 0;
    for (let id = 0; id < count; id++) {
      const own = this.dice.of(`call ${id}`);
      atMs += this.has('bursts')
        ? own.chance(0.9)
          ? 0
          : (10_000 / perSecond) * own.next() * 2
        : (1_000 / perSecond) * 2 * own.next();
      if (atMs > forMs) break;
      calls.push(this.call(id, Math.round(atMs * 100) / 100, own, callers.length, perSecond));
    }
    const last = this.dice.of('last calls');
    for (let i = 0; i < LAST_CALLS; i++)
      calls.push(this.lastCall(count + i, forMs + LAST_CALLS_MS + i * 200, last.of(i), callers.length));
    return calls;
  }

  /** A small call of a plain kind, from each application in turn. */
  private lastCall(id: number, atMs: number, dice: Dice, callers: number): CallPlan {
    const {
      tokens: _tokens,
      tokenBytes: _bytes,
      isInPieces: _pieces,
      ...plain
    } = this.call(id, atMs, dice, callers, 10);
    const isVersioned = this.has('rollout');
    const kind = isVersioned ? 'Infer' : dice.pick(['Unary', 'Safe', 'Upload']);
    return {
      ...plain,
      caller: id % callers,
      path: isVersioned ? INFER : `${PACKAGE}/${kind}`,
      ...(isVersioned ? { model: modelOf('') } : {}),
      request: [dice.logBetween(1, 2_000)],
      response: [dice.logBetween(1, 2_000)],
      requestGapMs: 0,
      responseGapMs: 0,
      serviceMs: 5,
      status: 0,
      messageBytes: 0,
      timeoutMs: 0,
      cancelAfterMs: 0,
      reader: { kind: 'eager' },
      modelReader: { kind: 'eager' },
      isIdempotent: kind === 'Safe' || (isVersioned && this.isInferSafe),
      isLast: true,
    };
  }

  private call(id: number, atMs: number, dice: Dice, callers: number, perSecond: number): CallPlan {
    const isVersioned = this.has('rollout');
    const kinds = isVersioned
      ? ['Infer', 'Infer', 'Infer', ...(this.has('bidi') ? ['StreamInfer'] : [])]
      : [
          'Unary',
          'Unary',
          'Safe',
          'Safe',
          ...(this.has('streams') ? ['Stream'] : []),
          ...(this.has('token-streams') ? ['Tokens', 'Tokens'] : []),
          ...(this.has('engines') ? ['Generate', 'Generate'] : []),
          ...(this.has('uploads') ? ['Upload'] : []),
          ...(this.has('bidi') ? ['Bidi'] : []),
        ];
    const kind = dice.pick(kinds);
    const size = (): number => this.size(dice, perSecond);
    const many = (): number[] => Array.from({ length: dice.logBetween(1, 40) }, size);
    const isBidi = kind === 'Bidi' || kind === 'StreamInfer';
    const isTokens = kind === 'Tokens' || kind === 'Generate';
    const isStream = kind === 'Stream' || isBidi || isTokens;
    const long = isStream && !isTokens ? this.longAnswer(dice, atMs, perSecond) : undefined;
    const isPaused = isBidi && this.has('pauses') && dice.of('pauses').chance(0.3 * this.intensity('pauses'));
    const sent = kind === 'Upload' || isBidi ? many() : [size()];
    const request = isPaused ? sent.slice(0, MOST_PAUSES) : sent;
    const answer = isTokens ? [] : isStream ? many() : [size()];
    const response = long?.response ?? answer;
    const isLarge = kind === 'Tokens' && this.has('large-tokens');
    const tokens = tokensOf(dice, isLarge, isLarge && this.has('wide-tokens'));
    const pauseMs = dice.of('pause').between(LEAST_PAUSE_MS, MOST_PAUSE_MS);
    const hasOwnError = this.has('own-errors') && dice.chance(0.1 * this.intensity('own-errors'));
    const bad = this.has('bad-requests') && kind !== 'Generate' ? this.badStatus(dice.of('bad')) : 0;
    const hasError = hasOwnError || bad > 0;
    return {
      id,
      atMs,
      caller: dice.between(0, callers - 1),
      upstream: SERVICE,
      path: this.pathOf(kind),
      ...(isVersioned ? { model: modelOf(dice.of('version').pick(['', '', '', '1', '2'])) } : {}),
      metadata: {
        ...(this.has('priority') ? { 'x-class': dice.pick(['interactive', 'batch']) } : {}),
        ...(this.has('ring-hash') ? { 'x-session': `s${dice.between(1, 20)}` } : {}),
        ...(this.has('metadata') ? metadataOf(dice.of('metadata')) : {}),
        ...(this.has('access-log') ? { 'x-request-id': `sim-${id}` } : {}),
      },
      request,
      response: hasError ? [] : response,
      ...(isTokens && !hasError ? tokens : {}),
      ...(kind === 'Generate' ? generateOptions(dice, (feature) => this.has(feature)) : {}),
      ...(this.has('pieces') && dice.of('pieces').chance(0.5) ? { isInPieces: true } : {}),
      requestGapMs: isPaused ? pauseMs : request.length > 1 ? dice.pick([0, 0, 5]) : 0,
      responseGapMs: long?.gapMs ?? (isStream ? dice.pick([0, 1, 10]) : 0),
      serviceMs: this.serviceMs(dice, perSecond),
      status: bad > 0 ? bad : hasError ? dice.pick([3, 5, 9]) : 0,
      messageBytes: hasError && dice.chance(0.3) ? dice.pick([100, 20_000]) : 0,
      timeoutMs:
        this.has('deadlines') && dice.chance(0.6 * this.intensity('deadlines'))
          ? dice.pick(this.profile.timeoutsMs)
          : 0,
      cancelAfterMs:
        this.has('cancels') && dice.chance(0.15 * this.intensity('cancels')) ? dice.logBetween(1, 2_000) : 0,
      reader: this.reader(
        dice,
        isTokens && !hasError ? [tokens.tokens * (tokens.tokenBytes ?? 0)] : response,
        isWide(tokens),
      ),
      modelReader: this.reader(dice, request),
      isIdempotent: kind === 'Safe' || isTokens || (kind === 'Infer' && this.isInferSafe),
    };
  }

  /** What the model says to a request that it cannot work with, whichever replica gets it; 0: this one is none. */
  private badStatus(dice: Dice): number {
    const { share, statuses } = this.profile.bad;
    return dice.chance(share) ? dice.pick(statuses) : 0;
  }

  /** Of a few streams of a run that has long ones. */
  private longAnswer(dice: Dice, atMs: number, perSecond: number) {
    if (!this.has('long-streams')) return undefined;
    const { forMs, isExpiryLong } = this;
    const share = longShare(this.replicaCount * this.parallel, perSecond, isExpiryLong);
    return dice.of('long').chance(share)
      ? longAnswer(dice.of('long answer'), atMs, forMs, isExpiryLong)
      : undefined;
  }

  private pathOf(kind: string): string {
    if (kind === 'Generate') return GENERATE;
    if (!this.has('rollout')) return `${PACKAGE}/${kind}`;
    return kind === 'Infer' ? INFER : STREAM_INFER;
  }

  private size(dice: Dice, perSecond: number): number {
    // Where memory is little, so much of it that it gets short, and where calls are hedged, so that some of the hedges are long; elsewhere it
    // would cost too much time.
    const many = this.has('little-memory') || this.has('hedge') ? this.intensity('large-messages') : 1;
    if (this.has('large-messages') && dice.chance(many * (perSecond > 50 ? 0.02 : 0.1)))
      return dice.logBetween(50_000, 2_000_000);
    const { leastBytes, mostBytes } = this.profile;
    return dice.chance(0.1) ? 0 : dice.logBetween(leastBytes, mostBytes);
  }

  private serviceMs(dice: Dice, perSecond: number): number {
    // So that the replicas are at most half busy.
    const usual = this.has('overload') ? 60 : Math.max(1, Math.floor(300 / perSecond));
    if (!this.has('mixed-durations')) return usual;
    const perMs = (this.replicaCount * this.parallel) / perSecond;
    if (dice.chance(this.profile.busyByLong * perMs)) return dice.logBetween(1_000, 6_000);
    // In the mean, one of this draw takes a third of the longest.
    const most = Math.min(LONGEST_USUAL_MS, Math.max(1, Math.floor(3_000 * this.profile.busy * perMs)));
    return dice.logBetween(1, this.has('overload') ? usual : most);
  }

  /** A slow one needs ten seconds at most. */
  private reader(dice: Dice, sizes: readonly number[], isWide = false): ReaderPlan {
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (isWide && this.has('slow-readers') && dice.of('wide').chance(WIDE_READ_SLOWLY))
      return { kind: 'slow', bytesPerMs: Math.ceil(total / 10_000) };
    if (this.has('stopped-readers') && dice.chance(0.1 * this.intensity('stopped-readers')))
      return { kind: 'stops', afterBytes: dice.pick([0, 1_000, 50_000]), forMs: dice.logBetween(100, 8_000) };
    if (this.has('slow-readers') && dice.chance(0.15 * this.intensity('slow-readers')))
      return { kind: 'slow', bytesPerMs: Math.max(dice.pick([1, 20, 200]), Math.ceil(total / 10_000)) };
    return { kind: 'eager' };
  }

  // ---- faults ----

  private faults(
    replicas: readonly ReplicaPlan[],
    callers: readonly CallerPlan[],
    calls: readonly CallPlan[],
    forMs: number,
  ): FaultPlan[] {
    const faults: FaultPlan[] = [];
    const names = replicas.map(({ name }) => name);
    const storm = this.dice.of('storm');
    const isStorm = storm.chance(0.3);
    const stormMs = storm.next() * forMs * 0.8;
    const victim = storm.pick(names);
    const isPartial = this.dice.of('partial failures').chance(PARTIAL_SHARE);
    for (const kind of HARMS) {
      if (!this.has(kind)) continue;
      const times = Math.ceil(this.dice.of(`fault ${kind}`).between(1, 2) * this.intensity(kind));
      for (let i = 0; i < times; i++) {
        const dice = this.dice.of(`fault ${kind} ${i}`);
        // A fault between two bursts meets nothing: it begins a little after a call.
        const aboutMs = isStorm ? stormMs + dice.next() * 1_000 : dice.next() * forMs * 0.9;
        const call = calls.find((each) => each.atMs >= aboutMs);
        const soonMs = (call?.atMs ?? aboutMs) + dice.logBetween(1, 100);
        const atMs = Math.round(Math.min(forMs * 0.95, soonMs));
        const isOfCaller = kind === 'freeze-caller' || (kind === 'reload' && dice.chance(0.7));
        const ofReplica = isStorm && dice.chance(0.5) ? victim : dice.pick(names);
        const target = isOfCaller ? dice.pick(callers).name : ofReplica;
        const lastsMs = dice.logBetween(LASTING.has(kind) ? 500 : 50, 6_000);
        // Of one that fails a few calls it takes long until much has failed.
        const isToTheEnd = kind === 'failing-model' && isPartial && dice.of('lasting').chance(0.5);
        const fault: FaultPlan = {
          kind,
          atMs,
          untilMs: isToTheEnd ? forMs : Math.min(forMs, atMs + lastsMs),
          target,
          ...inMidStream(dice.of('stream'), kind, faults.length, this.has('hedge')),
          amount: amountOf(kind, dice),
          ...(kind === 'failing-model' ? failureOf(dice, isPartial) : {}),
          ...(kind === 'reload' ? { file: this.reloaded(target, replicas, callers, dice) } : {}),
        };
        faults.push(fault, ...metAgain(dice.of('again'), fault, this.hasAny));
        faults.push(...(this.has('outages') ? outageOf(fault, replicas, dice.of('outage')) : []));
      }
    }
    const about = { replicas, callers, forMs, isExpiryLong: this.isExpiryLong };
    faults.push(...operations(this.dice.of('operations'), this.hasAny, about));
    const disks = this.dice.of('disks and names');
    faults.push(...diskAndDnsFaults(disks, this.hasAny, replicas, callers, forMs));
    faults.push(...collectorFaults(this.dice.of('collector faults'), this.hasAny, forMs));
    faults.push(...consulFaults(this.dice.of('consul faults'), this.hasAny, { replicas, callers, forMs }));
    return faults.sort((a, b) => a.atMs - b.atMs);
  }

  /** Another valid file of the same sidecar: other options, and other chance for what may change. */
  private reloaded(
    target: string,
    replicas: readonly ReplicaPlan[],
    callers: readonly CallerPlan[],
    dice: Dice,
  ): object {
    const { features } = this;
    this.features = this.otherOptions(dice.of('options'));
    const replica = replicas.find(({ name }) => name === target);
    const file =
      replica === undefined
        ? this.callerFile(
            target,
            callers.findIndex(({ name }) => name === target),
            reachable(replicas, SERVICE, this.hasAny, dice),
            dice,
          )
        : this.replicaFile(replica.name, replica.service, dice.pick([1, 2, 8]));
    this.features = features;
    return file;
  }

  private otherOptions(dice: Dice): Set<Feature> {
    const features = new Set(this.features);
    if (!this.has('other-options')) return features;
    const density = dice.pick(DENSITIES);
    for (const name of OPTIONS)
      if (!dice.of(name).chance(Math.min(MOST_SHARE, FEATURES[name] * density))) features.delete(name);
      else {
        features.add(name);
        this.later.add(name);
      }
    return features;
  }
}
