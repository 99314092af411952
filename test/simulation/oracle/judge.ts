/** What must hold of every call once a run is over, judged from its history alone. */
import {
  DISK_FAULTS,
  type FaultKind,
  type FaultPlan,
  isCollectorFault,
  isConsulFault,
  type Plan,
} from '../plan/plan.js';
import { isGenerate } from '../world/engine.js';
import type { CallRecord, Execution } from '../world/records.js';
import { ROOTS_SPREAD_MS, type World } from '../world/world.js';
import { mayBeDenied } from './consul.js';
import { mayHaveNoAddress } from './dns.js';
import { arrivalOf, type Evidence, isGood, replicasOf } from './evidence.js';
import { expectedMs, PREDICTED_MARGIN } from './expected-wait.js';
import { DRAIN_MS, isHarm } from './harm.js';
import { diedLately, isBadServed, mayBeUnknown, metBadVersion } from './rollout.js';
import { limitMs } from './route-limit.js';

const OK = 0;
const CANCELLED = 1;
const DEADLINE_EXCEEDED = 4;
const RESOURCE_EXHAUSTED = 8;
const PERMISSION_DENIED = 7;
const UNAVAILABLE = 14;
const INTERNAL = 13;
/** Of HTTP/2. */
const CANCEL = 8;

/** After its end a fault may still be felt: ejections, breakers and reconnects, ms. */
const AFTERMATH_MS = 15_000;
/** A call ends within this after its deadline, ms. */
const DEADLINE_SLACK_MS = 250;
/** A deadline fires within a slot of the timing wheel, 4 ms, and `grpc-timeout` is rounded up to whole ms. */
const TIMER_MS = 5;
/**
 * The end of a call that is complete waits behind what its caller does not read, for so long after the deadline or after the last read: a second
 * without progress, and progress is looked for once a second (decision 143).
 */
const UNREAD_MS = 2_000;

/** The `timeout` of a unary route that names none, ms. */
const UNARY_TIMEOUT_MS = 15_000;
/** What a caller is told whose call a queue does not expect to end in time. */
const WOULD_BE_LATE = 'longer than the time left';
/** A small call in a mesh that has nothing else to do, ms. */
const LAST_CALL_MS = 1_000;
/** A model hears of the end of a call within this, ms. */
const WORK_SLACK_MS = 300;
/** A call goes on within this after an attempt has failed, ms. */
const IDLE_MS = 1_000;
/** Features under which a replica with room may not be picked. */
const PICKED_OTHERWISE = [
  ...['ring-hash', 'overload', 'little-memory', 'few-streams', 'short-queue', 'breaker', 'cold-start'],
  ...['slow-start', 'split', 'adaptive', 'rate-limit', 'weights', 'fewer-endpoints', 'foresight', 'zones'],
  ...['class-waits', 'token-queue'],
];

/** What a caller is told where a replica that began anew sent other messages than the one before. */
const OTHER_MESSAGES = 'repeated other messages';
/** Its application's socket may hold a call up, and its deadline counts from when its sidecar has it. */
const isSentLate = ({ features }: Plan): boolean => features.includes('small-kernels');
/** An answer under way moves within this, ms. */
const STALLED_MS = 10_000;
/** Features under which an answer takes its time on the way, though its own caller reads it at once. */
const READ_LATE = [
  ...['slow-readers', 'stopped-readers', 'slow-links', 'small-kernels', 'tiny-windows', 'odd-peers'],
  ...['late-credit', 'little-memory', 'overload', 'pauses'],
];
/** Features under which an attempt may come late to its queue, or be stopped by more than its timeout. */
const SENT_LATE = [
  ...['few-streams', 'tiny-windows', 'small-kernels', 'odd-peers', 'slow-links', 'late-credit', 'breaker'],
  ...['little-memory', 'overload', 'max-age', 'certificates', 'consul', 'dns', 'quick-pings', 'cold-start'],
];
/** An attempt begins at most so long before it comes to its queue, ms. */
const OWN_TIME_MS = 60;

/** Faults that hold up what was sent long before. */
const DELAYS: readonly FaultKind[] = [
  ...(['freeze-sidecar', 'freeze-model', 'freeze-caller', 'stall-connection', 'partition'] as const),
];
/** Features that refuse a call whatever another replica has to do. */
const MAY_REFUSE_ALL = [
  'little-memory',
  'few-streams',
  'breaker',
  'cold-start',
  'slow-start',
  'split',
  'rate-limit',
  ...['foresight', 'zones', 'other-reports', 'class-waits', 'token-queue'],
];
/** A caller knows what a replica has to do after this, ms. */
const KNOWN_MS = 50;
/** A request of this size is kept for another attempt, bytes: where a route keeps 1 KiB, and by default. */
const MOST_KEPT_BYTES = { small: 900, usual: 30_000 };

/** Judges all calls of a run. */
export function judge(world: World, evidence: Evidence): void {
  for (const record of world.records) new Verdict(world, record, evidence).judge();
}

class Verdict {
  private readonly faults: readonly FaultPlan[];

  constructor(
    private readonly world: World,
    private readonly record: CallRecord,
    private readonly evidence: Evidence,
  ) {
    this.faults = faultsOver(world.plan, record, world.nowMs);
  }

  private find(invariant: string, what: string): void {
    const { plan } = this.record;
    this.world.find(invariant, `call ${plan.id} ${plan.path}: ${what}`, [plan.id]);
  }

  judge(): void {
    const { record } = this;
    if (record.problem !== '') this.find('right-bytes', record.problem);
    for (const { problem, replica } of record.executions)
      if (problem !== '') this.find('right-bytes', `at ${replica}: ${problem}`);
    if (record.ends === 0) return this.find('ends-once', 'it never ended');
    if (record.ends > 1) this.find('ends-once', `it ended ${record.ends} times`);
    this.rightCaller();
    this.executedOnce();
    this.whole();
    if (record.plan.isLast === true) this.servesAgain();
    else this.allowedEnd();
    this.inTime();
    this.wholeMessage();
    this.noWorkAfterEnd();
    this.pushback();
    this.elsewhere();
    this.hasItsTime();
    this.notIdle();
    this.notRefused();
  }

  /** All faults are long over: the mesh is as it was before. */
  private servesAgain(): void {
    const { record } = this;
    const { features, links } = this.world.plan;
    const isLimited = record.status === RESOURCE_EXHAUSTED && features.includes('rate-limit');
    if (record.isDegraded || isLimited) return;
    if (record.status === PERMISSION_DENIED && mayBeDenied(this.world, record)) return;
    // A version that is not good is found by its calls, and there may have been none before.
    if (isBadServed(this.world) || metBadVersion(this.world.plan, record)) return;
    if (record.status === UNAVAILABLE && diedLately(this.world, record)) return;
    if (record.status !== OK)
      return this.find(
        'serves-again',
        `status ${record.status}, reset ${record.resetCode}, "${record.message}" (${record.reason}) long after all faults`,
      );
    const tookMs = record.endMs - record.startMs;
    if (tookMs > LAST_CALL_MS + 20 * (links.local.delayMs + links.mesh.delayMs))
      this.find('serves-again', `took ${tookMs.toFixed(0)} ms long after all faults`);
  }

  /** Error messages arrive as they are: no application of a simulation announces a limit. */
  private wholeMessage(): void {
    const { record } = this;
    const { status, messageBytes } = record.plan;
    if (status === OK || record.status !== status || record.isDegraded) return;
    const { upstream } = record.plan;
    if (
      !record.executions.some(
        (each) => each.status === status && isOf(this.world.plan, each.replica, upstream),
      )
    )
      return;
    if (record.messageBytes !== messageBytes)
      this.find(
        'right-bytes',
        `its error message has ${record.messageBytes} bytes, the model sent ${messageBytes}`,
      );
  }

  /** Who has left is not worked for. */
  private noWorkAfterEnd(): void {
    const { record, world } = this;
    const { features, links, replicas } = world.plan;
    if (record.endMs < 0 || this.faults.length > 0) return;
    const slackMs = WORK_SLACK_MS + 8 * (links.local.delayMs + links.mesh.delayMs);
    if (
      [
        'small-kernels',
        'tiny-windows',
        'large-messages',
        'large-tokens',
        'little-memory',
        'late-credit',
      ].some((each) => features.includes(each))
    )
      return;
    for (const { replica, endMs } of record.executions) {
      // A copy goes on for itself.
      const isCopy = replicas.find(({ name }) => name === replica)?.service !== record.plan.upstream;
      if (isCopy || endMs < 0 || endMs - record.endMs <= slackMs) continue;
      this.find(
        'no-work-after-end',
        `${replica} worked for it ${(endMs - record.endMs).toFixed(0)} ms longer`,
      );
    }
  }

  /** A server that asks not to be tried again, or later, is not tried again, or later. What it says of later is about itself. */
  private pushback(): void {
    const { executions } = this.record;
    const { mesh, local } = this.world.plan.links;
    // An attempt of before may be held up on its way, or wait in a queue.
    if (this.faults.some(({ kind }) => DELAYS.includes(kind))) return;
    const beganMs = (execution: Execution): number => arrivalOf({ record: this.record, execution });
    for (const { pushback, endMs, replica } of executions) {
      if (pushback === '') continue;
      const isOwn = (name: string): boolean => isOf(this.world.plan, name, this.record.plan.upstream);
      if (!isOwn(replica)) continue;
      const seenMs = endMs + mesh.delayMs + 2 * local.delayMs;
      // What is no number asks for no other attempt (gRFC A6).
      const waitMs = Number(pushback) >= 0 ? Number(pushback) : Number.POSITIVE_INFINITY;
      const early = executions.find(
        (each) =>
          (waitMs === Number.POSITIVE_INFINITY ? isOwn(each.replica) : each.replica === replica) &&
          beganMs(each) > seenMs + 2 * mesh.delayMs &&
          each.startMs < seenMs + waitMs,
      );
      if (early !== undefined)
        this.find(
          'pushback',
          `tried again at ${early.replica} after ${(early.startMs - endMs).toFixed(0)} ms, although ${replica} had asked for ${pushback}`,
        );
    }
  }

  /** Another attempt goes to a replica that has not failed the call. */
  private elsewhere(): void {
    const { record, world, evidence } = this;
    const { plan } = world;
    if (PICKED_OTHERWISE.some((each) => plan.features.includes(each))) return;
    const names = replicasOf(plan, record.plan.upstream);
    for (const [i, next] of record.executions.entries()) {
      const before = record.executions.slice(0, i);
      const last = before.findLast(
        ({ endMs, replica }) => endMs >= 0 && endMs < next.startMs && names.includes(replica),
      );
      if (last === undefined || last.replica !== next.replica || isGood(last) || last.ended === 'reset')
        continue;
      const free = names.find(
        (name) => !before.some(({ replica }) => replica === name) && evidence.hasRoom(name, next.startMs),
      );
      if (free !== undefined)
        this.find('elsewhere', `tried again at ${next.replica}, which had failed it, while ${free} was free`);
    }
  }

  /** An attempt is stopped before its time only where the call is over, or another attempt has been answered. */
  private hasItsTime(): void {
    const { record, world } = this;
    const { plan } = world;
    const { request, caller, upstream } = record.plan;
    const ownMs = limitMs(plan.callers[caller]!.file, record.plan, 'attempt_timeout');
    if (ownMs === 0 || request[0]! > MOST_KEPT_BYTES.usual || record.isCancelled) return;
    if (SENT_LATE.some((each) => plan.features.includes(each))) return;
    const names = plan.callers.map(({ name }) => name);
    const delaysMs = 10 * (plan.links.local.delayMs + plan.links.mesh.delayMs);
    for (const execution of record.executions) {
      const { replica, ended, endMs, startMs } = execution;
      if (ended !== 'reset' || !isOf(plan, replica, upstream)) continue;
      const slackMs = delaysMs + 2 * TIMER_MS;
      if (record.endMs <= endMs + slackMs) continue;
      const isAnswered = record.executions.some(
        (each) =>
          each !== execution &&
          each.ended === 'answered' &&
          each.endMs <= endMs + slackMs &&
          (isGood(each) || each.endMs >= endMs - slackMs),
      );
      if (isAnswered) continue;
      const isStruck = plan.faults.some(
        ({ kind, target, atMs }) =>
          kind !== 'failing-model' &&
          kind !== 'slow-model' &&
          (target === replica || names.includes(target) || target === '') &&
          world.originMs + atMs <= endMs,
      );
      const arrival = record.arrivals.findLast((each) => each.replica === replica && each.atMs <= startMs);
      if (isStruck || arrival === undefined) continue;
      const hadMs = endMs - arrival.atMs;
      if (hadMs < ownMs - OWN_TIME_MS - delaysMs)
        this.find(
          'own-time',
          `its attempt at ${replica} was stopped after ${hadMs.toFixed(0)} of ${ownMs} ms`,
        );
    }
  }

  /** A call whose last attempt has failed is tried again or ends; it does not wait for its deadline while there is room. */
  private notIdle(): void {
    const { record, world, evidence } = this;
    const { plan } = world;
    if (PICKED_OTHERWISE.some((each) => plan.features.includes(each)) || record.received > 0) return;
    const names = replicasOf(plan, record.plan.upstream);
    const last = record.executions.findLast(({ replica }) => names.includes(replica));
    if (last === undefined || last.ended === 'reset' || isGood(last) || last.endMs < 0) return;
    const idleMs = record.endMs - last.endMs;
    const pushbackMs = Math.max(0, Number(last.pushback) || 0);
    if (idleMs < IDLE_MS + pushbackMs + 10 * plan.links.mesh.delayMs) return;
    if (record.executions.some(({ endMs }) => endMs < 0 || endMs > last.endMs)) return;
    const free = names.find(
      (name) => evidence.hasRoom(name, last.endMs) && evidence.hasRoom(name, record.endMs),
    );
    if (free !== undefined)
      this.find('not-idle', `nothing was done for its last ${idleMs.toFixed(0)} ms, while ${free} was free`);
  }

  /** A call that a full replica refuses goes to one that has room. */
  private notRefused(): void {
    const { record, world, evidence } = this;
    const { plan } = world;
    const { request, upstream } = record.plan;
    if (record.reason !== 'overloaded' || request.length > 1) return;
    if (request[0]! > MOST_KEPT_BYTES[plan.features.includes('small-replay') ? 'small' : 'usual']) return;
    if (MAY_REFUSE_ALL.some((each) => plan.features.includes(each))) return;
    if (plan.rollout !== undefined || plan.faults.some((each) => mayMove(plan, each))) return;
    const aboutMs = KNOWN_MS + 4 * plan.links.mesh.delayMs;
    const { startMs, endMs } = record;
    const free = plan.replicas.find(
      ({ name, service, parallel }) =>
        service === upstream &&
        evidence.isUp(name, startMs) &&
        evidence.mostBusy(name, startMs - aboutMs, endMs + aboutMs) < parallel &&
        evidence.runsOf(name).some(({ execution }) => execution.endMs < startMs),
    );
    if (free !== undefined)
      this.find('not-idle', `it was refused ("${record.message}"), while ${free.name} had room`);
  }

  /** The model was told the caller that made the call. */
  private rightCaller(): void {
    const { record, world } = this;
    const { service } = world.plan.callers[record.plan.caller]!;
    for (const { caller, replica } of record.executions)
      if (caller !== service) this.find('right-caller', `${replica} was told "${caller}", not ${service}`);
  }

  /** What must not be repeated runs once. */
  private executedOnce(): void {
    const { record } = this;
    const { plan } = this.world;
    if (record.plan.isIdempotent) return;
    // A mirrored copy goes to another service and is not the call itself, which may fall back to that service. A model cannot tell the two apart.
    const { upstream } = record.plan;
    const isCall = (replica: string): boolean =>
      !plan.features.includes('mirror') || isOf(plan, replica, upstream);
    const own = record.executions.filter(({ replica, hasRun }) => hasRun && isCall(replica));
    if (own.length > 1)
      this.find(
        'not-twice',
        `it ran ${own.length} times, at ${own.map(({ replica }) => replica).join(', ')}`,
      );
  }

  /** OK means every byte of every message, once and in order. */
  private whole(): void {
    const { record } = this;
    if (record.status !== OK || record.isDegraded) return;
    if (!record.isComplete)
      this.find(
        'ok-is-whole',
        `ended OK after ${record.received} of ${record.plan.tokens ?? record.plan.response.length}`,
      );
    const answered = record.executions.some(({ ended }) => ended === 'answered');
    if (!answered) this.find('ok-is-whole', 'ended OK, and no model had answered it');
  }

  private allowedEnd(): void {
    const { record } = this;
    const { plan, status, resetCode } = record;
    if (record.isCancelled || record.isDegraded) return;
    if (status === plan.status) return;
    const found =
      status >= 0
        ? `status ${status} "${record.message}" (${record.reason})`
        : `reset with code ${resetCode}`;
    if (status === DEADLINE_EXCEEDED && plan.timeoutMs > 0 && (this.mayBeLate() || this.hadToWait())) return;
    if (this.isBrokenOff())
      return this.find('allowed-end', `${found}, and all replicas have the same messages`);
    if (this.hasStalled())
      return this.find(
        'allowed-end',
        `${found}, and its answer, which is read at once, stood still for long`,
      );
    if (this.faults.length > 0 && FAULTY.has(status)) return;
    if (FAULTY.has(status) && record.executions.some(({ isEmpty }) => isEmpty)) return;
    // Two engines in a row were lost with it.
    if (this.faults.length > 0 && record.reason === 'poison' && isGenerate(plan)) return;
    if (this.world.plan.isOverloaded && [RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED, UNAVAILABLE].includes(status))
      return;
    if (status === RESOURCE_EXHAUSTED && (this.isRefusalPlanned() || this.wouldHaveBeenLate())) return;
    // Refused early, as it could not have ended by its deadline.
    if (status === RESOURCE_EXHAUSTED && plan.timeoutMs > 0 && this.mayBeLate()) return;
    if (status === DEADLINE_EXCEEDED && this.hasTimeouts() && this.mayBeLate()) return;
    if (status === RESOURCE_EXHAUSTED && this.hasAttemptLimits() && this.mayBeLate()) return;
    if (status === -4) return;
    if (status === UNAVAILABLE && this.outlivedDrain()) return;
    if (status === UNAVAILABLE && record.reason === 'upstream-reset' && this.mayBeCutOff()) return;
    if (FAULTY.has(status) && isBadServed(this.world)) return;
    if (
      mayBeUnknown(this.world.plan, record) ||
      (FAULTY.has(status) && metBadVersion(this.world.plan, record))
    )
      return;
    if (status === PERMISSION_DENIED && mayBeDenied(this.world, this.record)) return;
    if (FAULTY.has(status) && this.losesItsRoot()) return;
    if (status === UNAVAILABLE && mayHaveNoAddress(this.world, record)) return;
    if (resetCode === -2 && this.faults.length > 0) return;
    if (resetCode >= 0 && plan.timeoutMs > 0 && this.mayBeLate()) return;
    if (resetCode === CANCEL && this.wasUnreadInTime() && this.mayBeLate()) return;
    // The same by the sidecar of its model, and a part still waits here.
    if (resetCode === CANCEL && this.mayBeCutOff()) return;
    this.find('allowed-end', `${found}, and no fault explains it`);
  }

  /** Its route ended it while part of its answer waited for its application: no status can follow that part (decision 143). */
  private wasUnreadInTime(): boolean {
    const { plan, startMs, endMs, lastDataMs } = this.record;
    const { file } = this.world.plan.callers[plan.caller]!;
    const [wholeMs, idleMs] = [limitMs(file, plan, 'timeout'), limitMs(file, plan, 'idle_timeout')];
    const isOver = wholeMs > 0 && endMs - startMs >= wholeMs;
    return isOver || (idleMs > 0 && endMs - Math.max(startMs, lastDataMs) >= idleMs);
  }

  /** Its answer was not read in the time that the route of its model has by default, and others on its connection may be why (decision 143). */
  private mayBeCutOff(): boolean {
    const { plan, startMs, endMs } = this.record;
    return isUnary(plan.path) && endMs - startMs >= UNARY_TIMEOUT_MS && this.hasSlowReaders();
  }

  /**
   * It was refused as its wait would be longer than the time that unary routes have by default: one that came before it did wait so long, or
   * a queue had to expect it, by what waited there and how long runs had taken.
   */
  private wouldHaveBeenLate(): boolean {
    const { world, evidence, record } = this;
    const { plan, startMs, endMs } = record;
    if (!isUnary(plan.path)) return false;
    const hasWaited = world.records.some(
      (each) =>
        each.plan.upstream === plan.upstream &&
        each.startMs <= startMs &&
        each.executions.length > 0 &&
        each.executions[0]!.startMs > endMs &&
        each.executions[0]!.startMs - each.startMs >= UNARY_TIMEOUT_MS / PREDICTED_MARGIN,
    );
    if (hasWaited) return true;
    if (!record.message.includes(WOULD_BE_LATE)) return false;
    return replicasOf(world.plan, plan.upstream).some(
      (name) => expectedMs(world, evidence, name, { fromMs: startMs, toMs: endMs }) > UNARY_TIMEOUT_MS,
    );
  }

  /** A replica that began anew is said to have other messages, and has not. */
  private isBrokenOff(): boolean {
    const { record, world } = this;
    if (!record.message.includes(OTHER_MESSAGES)) return false;
    const own = world.plan.replicas.filter(({ service }) => service === record.plan.upstream);
    const kinds = new Set(
      own.map(({ tokensPerMessage, encoding = '' }) => `${tokensPerMessage} ${encoding}`),
    );
    return kinds.size === 1;
  }

  /** Its model answered, nobody was slow to read, and nothing came for long until its route ended it. */
  private hasStalled(): boolean {
    const { record, world } = this;
    const { plan, status, endMs, lastDataMs, startMs } = record;
    if (status !== DEADLINE_EXCEEDED || plan.timeoutMs > 0 || plan.reader.kind !== 'eager') return false;
    if (READ_LATE.some((each) => world.plan.features.includes(each))) return false;
    const isFelt = ({ kind }: FaultPlan): boolean => kind !== 'failing-model' && kind !== 'slow-model';
    if (this.faults.some(isFelt)) return false;
    const last = record.executions.findLast(({ replica }) => isOf(world.plan, replica, plan.upstream));
    if (last === undefined || last.runStartMs < 0) return false;
    // It has given all of its answer, or works on it.
    const isAnswering = last.ended === 'reset' && last.endMs >= endMs - TIMER_MS;
    if (!isAnswering && !isGood(last)) return false;
    return Math.max(last.runStartMs + last.runMs, lastDataMs, startMs) < endMs - STALLED_MS;
  }

  private hasSlowReaders(): boolean {
    const { features } = this.world.plan;
    return features.includes('slow-readers') || features.includes('stopped-readers');
  }

  /** A sidecar that drains waits so long for the calls under way. */
  private outlivedDrain(): boolean {
    const { world, record } = this;
    return world.plan.faults.some(
      ({ kind, atMs }) => kind === 'drain' && record.endMs >= world.originMs + atMs + DRAIN_MS,
    );
  }

  /** It was under way when the old root was believed no more: a connection that had been made by it ends then. */
  private losesItsRoot(): boolean {
    const { plan, originMs } = this.world;
    const { startMs, endMs } = this.record;
    return plan.faults.some(({ kind, atMs }) => {
      if (kind !== 'roots-change') return false;
      const fromMs = originMs + atMs + 2 * ROOTS_SPREAD_MS + (plan.certificateMs ?? 0);
      return startMs <= fromMs + ROOTS_SPREAD_MS && endMs >= fromMs;
    });
  }

  private isRefusalPlanned(): boolean {
    const { features } = this.world.plan;
    return [
      'short-queue',
      'rate-limit',
      'breaker',
      'little-memory',
      'few-streams',
      'adaptive',
      'overload',
      ...['class-waits', 'token-queue'],
    ].some((each) => features.includes(each));
  }

  /** A sidecar that sees that a call would be too late for its attempt refuses it. */
  private hasAttemptLimits(): boolean {
    const { features } = this.world.plan;
    return features.includes('attempt-timeout') || features.includes('first-message-timeout');
  }

  private hasTimeouts(): boolean {
    const { features } = this.world.plan;
    return (
      ['attempt-timeout', 'first-message-timeout', 'idle-timeout'].some((each) => features.includes(each)) ||
      this.record.plan.path.endsWith('/Safe') ||
      this.record.plan.path.endsWith('/Unary')
    );
  }

  /** Whether the work of the call, its readers, or others in its way can take as long as its deadline allows. */
  private mayBeLate(): boolean {
    const { plan } = this.record;
    const { features } = this.world.plan;
    if (this.faults.length > 0 || this.world.plan.isOverloaded) return true;
    const loose = [
      'mixed-durations',
      'slow-readers',
      'stopped-readers',
      'slow-links',
      'small-kernels',
      'tiny-windows',
      'odd-peers',
      'large-messages',
      'large-tokens',
      'pauses',
      'late-credit',
      'bursts',
      'ragged-links',
      'few-streams',
      'fewer-endpoints',
      'weights',
      'drain',
      'takeover',
    ];
    if (loose.some((each) => features.includes(each))) return true;
    const messages = Math.max(plan.response.length, plan.tokens ?? 0);
    return plan.serviceMs + messages * plan.responseGapMs + 300 > plan.timeoutMs;
  }

  /** No replica had room when it began: it waits in the queue of one, and stays there whatever ends elsewhere. */
  private hadToWait(): boolean {
    const { world, record, evidence } = this;
    const names = replicasOf(world.plan, record.plan.upstream);
    return names.every((name) => !evidence.hasRoom(name, record.startMs));
  }

  /** A call with a deadline ends by then. */
  private inTime(): void {
    const { record, world } = this;
    const { plan, startMs, endMs, lastDataMs } = record;
    if (plan.timeoutMs === 0 || record.isCancelled) return;
    const deadlineMs = startMs + plan.timeoutMs;
    const { local, mesh } = world.plan.links;
    const slackMs = DEADLINE_SLACK_MS + 4 * (local.delayMs + mesh.delayMs);
    // A copy is not the call. Other services answer where a route says so.
    const isCall = (replica: string): boolean =>
      record.isDegraded || replica === record.answeredBy || isOf(world.plan, replica, plan.upstream);
    const attempts = record.executions.filter(({ replica }) => isCall(replica));
    const own = attempts.length > 0 ? attempts : record.executions;
    // Nobody worked for it any more when its deadline fired, whoever had ended that: its end was on its way.
    const sentMs = Math.max(0, (record.arrivals[0]?.atMs ?? startMs) - startMs);
    const firesMs = deadlineMs + TIMER_MS + (isSentLate(world.plan) ? sentMs : 2 * local.delayMs);
    const isOver = own.length > 0 && own.every((each) => each.endMs >= 0 && each.endMs <= firesMs);
    const byMs = isOver ? Math.max(deadlineMs, lastDataMs) + UNREAD_MS : deadlineMs;
    if (endMs <= byMs + slackMs) return;
    const { name } = world.plan.callers[plan.caller]!;
    if (this.faults.some(({ kind, target }) => kind === 'freeze-caller' && target === name)) return;
    this.find(
      'deadline',
      `ended ${(endMs - deadlineMs).toFixed(0)} ms after its deadline of ${plan.timeoutMs} ms (status ${record.status})`,
    );
  }
}

/** It may change which replicas a caller knows; what is written or exported changes nothing of it. */
function mayMove(plan: Plan, fault: FaultPlan): boolean {
  const isTold = isCollectorFault(fault.kind) || (DISK_FAULTS as readonly string[]).includes(fault.kind);
  return !isHarm(plan, fault) && !isTold;
}

/** Ends that a fault explains. */
const FAULTY = new Set([UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, CANCELLED, 2, -1]);

/** Faults that this call can have felt. Calls go on whatever becomes of Consul: that explains nothing. */
function faultsOver(plan: Plan, record: CallRecord, nowMs: number): FaultPlan[] {
  const from = record.plan.atMs;
  const to = record.endMs < 0 ? nowMs : from + (record.endMs - record.startMs);
  return plan.faults.filter(
    (fault) => isHarm(plan, fault) && fault.atMs <= to && fault.untilMs + aftermathMs(plan, fault) >= from,
  );
}

/** A sidecar that starts while Consul cannot be read knows nothing until it can. */
function aftermathMs({ faults }: Plan, { kind, untilMs }: FaultPlan): number {
  if (kind !== 'kill-sidecar' && kind !== 'drain') return AFTERMATH_MS;
  const trouble = faults.filter((each) => isConsulFault(each.kind) && each.untilMs + AFTERMATH_MS >= untilMs);
  const usualMs = AFTERMATH_MS + (kind === 'drain' ? DRAIN_MS : 0);
  return usualMs + Math.max(0, ...trouble.map((each) => each.untilMs + 30_000 - untilMs));
}

function isOf(plan: Plan, replica: string, service: string): boolean {
  return plan.replicas.some((each) => each.name === replica && each.service === service);
}

function isUnary(path: string): boolean {
  return path.endsWith('/Safe') || path.endsWith('/Unary');
}
