import { present } from '../../../config/present.js';
import { whyPassedOver } from '../../../core/models/passed-over.js';
import {
  beginRollout,
  commandRollout,
  isOver,
  type ReplicaFacts,
  type RolloutAnswer,
  type RolloutPhase,
  type RolloutPlan,
  type RolloutRecord,
  type RolloutSettings,
  type RolloutView,
  timedAnew,
} from '../../../core/models/rollout.js';
import { readFacts, readRollout } from '../../../core/models/rollout-format.js';
import { nextStep } from '../../../core/models/rollout-step.js';
import type { Revision } from '../../../core/models/settled-listing.js';
import { messageOf } from '../../../runtime/log/message-of.js';
import type { Timer } from '../../../runtime/time/timers.js';
import type { AppContext } from '../../context.js';
import type { LifeLog } from '../life/life-log.js';
import { Candidate, type CandidateDeps } from './candidate.js';
import { RolloutNotes } from './rollout-notes.js';
import type { RolloutStore, Stored } from './store.js';

/** Between two looks at the store, ms: while something is rolled out, and while nothing is. */
const ACTIVE_MS = 500;
const IDLE_MS = 5_000;
/** By so much the wall clock may differ from the time that has passed between two looks. */
const CLOCK_SLACK_MS = 2_000;

export interface RolloutAgentDeps extends CandidateDeps {
  readonly context: AppContext;
  readonly service: string;
  readonly instance: string;
  /** As the file says; a command may say otherwise. */
  readonly settings: RolloutSettings;
  readonly store: RolloutStore;
  readonly lives: LifeLog;
}

/**
 * The part of this replica in rollouts of its service: reads the record, brings its own versions to the phase that the record
 * has for it, says where it is; and where it leads, decides the next step of all. Whichever replica gets the lock leads, and
 * goes on from the record, so that no step depends on the one that leads.
 */
export class RolloutAgent {
  /** The version on its way here; of the last rollout where none is under way. */
  private candidate: Candidate | undefined;
  private timer: Timer | undefined;
  private isTicking = false;
  private isClosed = false;
  private isFollowing = false;
  /** That this replica has stored: what was read before the latest of them is old. */
  private commands = 0;
  private readonly notes: RolloutNotes;
  /** As it was read or written last. */
  private record: RolloutRecord | undefined;
  /** What the replicas have said at the last look. */
  private known: readonly ReplicaFacts[] = [];

  /** The wall clock less the monotonic one at the last look, ms; undefined: there was none. */
  private epochMs: number | undefined;
  /** The wall clock was set, or the machine has slept, and the record has still the times of before. */
  private isClockSet = false;

  constructor(private readonly deps: RolloutAgentDeps) {
    this.notes = new RolloutNotes(deps.context, deps.store.where);
  }

  /** Looks at the store at once, and again until `stop`. */
  start(): void {
    this.later(0);
  }

  /** Takes part no longer: what this replica serves stays, and another one may lead. */
  async stop(): Promise<void> {
    this.isClosed = true;
    this.timer?.cancel();
    this.candidate?.close();
    await this.deps.store.close().catch(() => {});
  }

  /** As this replica knows it, without asking. */
  view(): RolloutView {
    const { record, known, notes, deps } = this;
    const { problem } = notes;
    return { where: deps.store.where, ...present('record', record), replicas: known, problem };
  }

  // ---- commands ----

  /** Begins a rollout of this version; refused where another one is under way, which is named. Never rejects. */
  begin(model: string, version: string, settings: Partial<RolloutSettings>): Promise<RolloutAnswer> {
    const plan = this.planOf(model, version, settings);
    return this.change((before) => beginRollout(before, plan, this.deps.context.deps.clock.wallNow()));
  }

  private planOf(model: string, version: string, settings: Partial<RolloutSettings>): RolloutPlan {
    const { repository, service, instance } = this.deps;
    const from = repository.pins.servedOf(model);
    const isChanged = repository
      .listed(model)
      .some((each) => each.version === version && each.fingerprint !== from?.fingerprint);
    return {
      ...{ service, model, version, from: from?.version ?? '', isChanged, instances: [instance] },
      settings: { ...this.deps.settings, ...settings },
      models: Object.keys(repository.pins.versions).sort(),
    };
  }

  /** Begins a rollout of what is new in the directory, where nothing is under way. Never rejects. */
  async follow(): Promise<void> {
    const { repository, context } = this.deps;
    if (this.isFollowing || this.isClosed || this.isUnderWay) return;
    const fresh = repository.newcomer((each) => this.isPassedOver(each, this.record));
    if (fresh === undefined) return;
    this.isFollowing = true;
    const { name: model, version } = fresh;
    const plan = { ...this.planOf(model, version, {}), isFollowed: true };
    const answer = await this.change((before) =>
      // What is stored may be newer than what this replica has read, or all that there is to know at its start.
      this.isPassedOver(fresh, before)
        ? { refused: 'a rollout of it is over' }
        : beginRollout(before, plan, context.deps.clock.wallNow()),
    );
    this.isFollowing = false;
    if (answer.kind === 'refused') this.notes.notBegun(fresh, answer.why);
  }

  /**
   * No rollout of it begins by itself: an operator is against it, these very files have failed, here or at another replica, or the last
   * rollout has brought it to the others, and this replica has still to load it.
   */
  private isPassedOver(revision: Revision, record: RolloutRecord | undefined): boolean {
    const { lives, repository } = this.deps;
    if (lives.whyRejected(revision) !== undefined) return true;
    const { name, version } = revision;
    const isBrought = record?.state === 'done' && record.model === name && record.version === version;
    if (isBrought && repository.pins.servedOf(name)?.version !== version) return true;
    const why = whyPassedOver(record, revision, repository.policy);
    return why !== undefined && (why !== 'judgement' || !lives.isMended(revision));
  }

  /** Pauses, resumes or aborts what is under way. Never rejects. */
  command(command: 'pause' | 'resume' | 'abort'): Promise<RolloutAnswer> {
    const { clock } = this.deps.context.deps;
    return this.change((before) => commandRollout(before, command, clock.wallNow()));
  }

  /** Reads, decides and stores, again where another process was faster. */
  private async change(
    decide: (before: RolloutRecord | undefined) => { record: RolloutRecord } | { refused: string },
  ): Promise<RolloutAnswer> {
    const { store, service } = this.deps;
    try {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const stored = await store.read();
        const before = recordIn(stored, service);
        const decided = decide(before);
        if ('refused' in decided) return { kind: 'refused', why: decided.refused };
        if (!(await store.write(decided.record, stored?.index, 'command'))) continue;
        this.commands++;
        this.note(decided.record, before);
        this.later(0);
        return { kind: 'done', record: decided.record };
      }
      return { kind: 'refused', why: 'the record changes too often; try again' };
    } catch (error) {
      return { kind: 'refused', why: `${store.where}: ${messageOf(error)}` };
    }
  }

  // ---- the looks at the store ----

  /** One look is planned at a time, the earliest that was asked for last. */
  private later(delayMs: number): void {
    this.timer?.cancel();
    if (this.isClosed) return;
    this.timer = this.deps.context.deps.timers.after(delayMs, () => void this.tick(), { unref: true });
  }

  /** One look: read, act, say, lead. Never rejects. */
  async tick(): Promise<void> {
    if (this.isTicking || this.isClosed) return;
    this.isTicking = true;
    let isActive = this.isUnderWay;
    try {
      isActive = await this.look();
      this.notes.problem = '';
    } catch (error) {
      this.notes.unreachable(messageOf(error));
    }
    this.isTicking = false;
    // A command may have begun one meanwhile.
    this.later(isActive || this.isUnderWay ? ACTIVE_MS : IDLE_MS);
  }

  /** Whether a rollout of the service is not over, as this replica knows it. */
  get isUnderWay(): boolean {
    return this.record !== undefined && !isOver(this.record);
  }

  /** True: something is to be done soon again. */
  private async look(): Promise<boolean> {
    const { store, service } = this.deps;
    const { commands } = this;
    this.readClock();
    const stored = await store.read();
    if (this.isClosed) return false;
    if (commands !== this.commands) return true;
    const record = recordIn(stored, service);
    if (record === undefined) {
      // One that was deleted has no end to wait for. One that is over still says which version has failed.
      if (this.isUnderWay) this.record = undefined;
      this.known = [];
      return false;
    }
    await store.claim();
    if (this.isClosed) return false;
    this.note(record, this.record);
    this.enact(record);
    await store.announce(this.ownFacts(record));
    if (isOver(record)) {
      this.candidate?.close();
      this.known = [];
      await store.resign();
      return !this.isSettled(record);
    }
    const received = (await store.received()).flatMap((each) => readFacts(each) ?? []);
    this.known = received;
    if (!(await store.lead()) || this.isClosed) {
      this.isClockSet = false; // the leader has seen it too
      return true;
    }
    if (this.isClockSet) return this.timeAnew(record, stored?.index);
    const facts = new Map(received.map((each) => [each.instance, each]));
    const next = nextStep(record, facts, this.deps.context.deps.clock.wallNow());
    if (next !== undefined && (await store.write(next, stored?.index, 'leader'))) this.note(next, record);
    return true;
  }

  private readClock(): void {
    const { clock } = this.deps.context.deps;
    const epochMs = clock.wallNow() - clock.now();
    if (Math.abs(epochMs - (this.epochMs ?? epochMs)) > CLOCK_SLACK_MS) this.isClockSet = true;
    this.epochMs = epochMs;
  }

  /** A replica has not loaded for an hour because the clock was set by one. */
  private async timeAnew(record: RolloutRecord, index: string | undefined): Promise<true> {
    const anew = timedAnew(record, this.deps.context.deps.clock.wallNow());
    if (await this.deps.store.write(anew, index, 'leader')) {
      this.isClockSet = false;
      this.note(anew, record);
    }
    return true;
  }

  /** Brings this replica to the phase that the record has for it. */
  private enact(record: RolloutRecord): void {
    const { model, version, from, state, end, settings, why } = record;
    const { pins } = this.deps.repository;
    const { instance } = this.deps;
    if (state === 'paused') return;
    const own = record.replicas.find((each) => each.instance === instance);
    const isGood = state === 'running' || state === 'done';
    const phase: RolloutPhase = state === 'done' ? 'done' : (own?.phase ?? 'waiting');
    if (isGood) return this.candidateFor(model, version).enact(phase, settings);
    // Back to the version before. Where the new one is served already, that is a change of versions of its own.
    const isServed = pins.servedOf(model)?.version === version;
    if (this.candidate?.version === version && (!isServed || version === from))
      this.candidate.withdraw((end ?? state) === 'aborted' ? '' : why);
    if (isServed && version !== from) this.candidateFor(model, from).enact('done', settings);
  }

  /** The candidate of this version; one of another version is no longer looked at. */
  private candidateFor(model: string, version: string): Candidate {
    const known = this.candidate;
    if (known?.model === model && known.version === version) return known;
    known?.close();
    this.candidate = new Candidate(model, version, this.deps);
    return this.candidate;
  }

  /** What this replica says of itself: with the version that it serves now, whatever the record says. */
  private ownFacts({ id, model, state }: RolloutRecord): ReplicaFacts {
    const { instance, repository } = this.deps;
    const serving = repository.pins.servedOf(model)?.version ?? '';
    const isGone = repository.pins.candidateOf(model) === undefined;
    const facts = this.candidate?.model === model ? this.candidate.facts() : NOTHING;
    // On the way back a version that has failed, and has no place here any more, is the one before: nothing is left to go back to.
    const isFailed = facts.candidate === 'failed' && state !== 'rolling-back';
    const saysWhy = facts.candidate === 'missing' || isFailed;
    return { ...facts, instance, id, serving, ...(isGone && !saysWhy ? GONE : {}) };
  }

  /** Nothing of an ended rollout is left to do here. */
  private isSettled({ model, version, from, state }: RolloutRecord): boolean {
    const { pins } = this.deps.repository;
    const served = pins.servedOf(model)?.version;
    if (pins.candidateOf(model) !== undefined) return false;
    return state === 'done'
      ? served === version || served === undefined
      : served !== version || version === from;
  }

  private note(record: RolloutRecord, before: RolloutRecord | undefined): void {
    this.record = record;
    this.notes.state(record, before);
  }
}

/** What is stored of this service; undefined: nothing. @throws Error for what may be under way of a later version, or of another service. */
function recordIn(stored: Stored | undefined, service: string): RolloutRecord | undefined {
  const record = readRollout(stored?.value);
  if (stored !== undefined && record === undefined)
    throw new Error('the stored rollout cannot be read; it is left alone');
  if (record === undefined || record.service === service) return record;
  if (isOver(record)) return undefined; // as after a service has got another name
  throw new Error(
    `the stored rollout is of the service ${record.service}; expected ${service}: give each service a \`state_dir\` of its own`,
  );
}

/** Check-and-set loses to another process only when that has stored something. */
const MAX_TRIES = 10;
const NO_CALLS = { calls: 0, errors: 0, medianMs: 0 };
const GONE = { candidate: 'none', why: '' } as const;
const NOTHING = {
  ...{ serving: '', ...GONE, compared: 0, agreed: 0, difference: '' },
  ...{ before: NO_CALLS, after: NO_CALLS },
};
