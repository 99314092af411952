import type { CallTally, ReplicaFacts, RolloutPhase, RolloutSettings } from '../../../core/models/rollout.js';
import { failsClearly } from '../../../core/models/rollout-judgement.js';
import type { Revision } from '../../../core/models/settled-listing.js';
import { type ModelClient, openModelClient } from '../../../health/model/grpc-client.js';
import { AuditKind } from '../../../telemetry/audit/trail.js';
import type { AppContext } from '../../context.js';
import type { LoadedRevision } from '../loaded-revision.js';
import type { ModelRepository } from '../model-repository.js';
import { Agreement, Latencies, VersionTap } from './version-tap.js';

/** What a replica asks about the processes of a version. */
export interface CandidateDeps {
  readonly repository: ModelRepository;
  readonly context: AppContext;
  /** Whether the golden input has passed at its processes; undefined: not known yet. */
  isProven(revision: LoadedRevision): boolean | undefined;
  /** Its state may be another one. */
  moved(revision: LoadedRevision): void;
}

const NO_CALLS = { calls: 0, refused: 0 } as const;

/** Copies that a median of the version before needs. */
const MIN_COPIES = 10;

/** While other replicas still have to follow, a version that serves fails by so many ends of its processes: one may be chance. */
const DEATHS_SERVED = 2;

/** What is counted from a load on. */
interface Counts {
  readonly agreement: Agreement;
  readonly before: Latencies;
  readonly after: Latencies;
}

/** What a replica says of the candidate. */
export type CandidateFacts = Omit<ReplicaFacts, 'instance' | 'id'>;

/**
 * One version of a model on its way into service at this replica: loaded beside the version that is served, held back,
 * compared, let go. Each step may be asked for again, and from any other: what is there already stays.
 */
export class Candidate {
  /** Of the load that is under way, or was the last one. */
  private counts!: Counts;
  private readonly clients: ModelClient[] = [];
  private readonly taps: VersionTap[] = [];
  /** Whose calls are counted on after its window. */
  private counted: LoadedRevision | undefined;
  /** Of processes that were replaced since. */
  private deathsBefore = 0;
  /** The phase that this replica is in; undefined: it has not got beyond the load. */
  private phase: RolloutPhase | undefined;
  /** Why there is nothing to load. */
  private why = '';

  constructor(
    readonly model: string,
    readonly version: string,
    private readonly deps: CandidateDeps,
  ) {
    this.beginCounts();
  }

  /** What processes before these have answered says nothing about these, nor about files that have been replaced since. */
  private beginCounts(): void {
    const after = new Latencies();
    after.onError = () => this.guard();
    this.counts = { agreement: new Agreement(), before: new Latencies(), after };
    this.deathsBefore = 0;
  }

  /** Brings the replica to this phase. */
  enact(phase: RolloutPhase, { canary, samples }: Pick<RolloutSettings, 'canary' | 'samples'>): void {
    const { repository } = this.deps;
    if (phase === 'waiting') return this.wait();
    if (phase === 'done') return this.finish();
    this.load();
    this.prove();
    const fresh = this.fresh;
    const old = this.old;
    if (phase === this.phase || phase === 'loading') return;
    if (fresh === undefined || old === undefined || fresh.state.kind !== 'ready') return;
    this.phase = phase;
    const isTaken = phase === 'watching';
    if (phase === 'shadow') {
      // Calls have gone to it where it begins anew, as its model was not ready for a while.
      fresh.hold();
      old.backend.isStandby = false;
    } else {
      fresh.releaseTraffic(isTaken ? 1 : canary);
      fresh.backend.isStandby = false;
      old.backend.isStandby = isTaken;
    }
    this.endComparison();
    this.counts.before.beginPhase();
    this.counts.after.beginPhase();
    const how = samples === 0 ? 'not' : isTaken ? 'backward' : 'forward';
    this.compare(old, fresh, how);
    this.deps.moved(fresh);
    repository.changedTraffic();
  }

  /** Its turn has not come, or was taken away: what was done of it in an earlier rollout does not count. */
  private wait(): void {
    if (this.candidate !== undefined) this.withdraw('');
    this.phase = undefined;
  }

  /** It gets no call any more, and its processes end; `why`: it is rejected for that. */
  withdraw(why: string): void {
    const { repository, context } = this.deps;
    const { fresh, old } = this;
    this.endComparison();
    this.phase = undefined;
    this.why = '';
    if (old !== undefined) old.backend.isStandby = false;
    if (fresh === undefined) return repository.withdraw(this.model);
    if (why !== '' && fresh.state.kind !== 'failed') {
      fresh.rejection = why;
      context.dataPlane.audit.record(AuditKind.modelRejected, {
        ...{ model: this.model, version: this.version, why },
      });
      this.deps.moved(fresh);
    }
    repository.withdraw(this.model);
  }

  /** What the leader decides by. */
  facts(): CandidateFacts {
    const { agreement, before, after } = this.counts;
    const { compared, agreed, difference, sampled, alike } = agreement;
    // Before calls go to it, the copies say how fast it is.
    const own = this.isTaken
      ? after.tally
      : { ...agreement.copies.tally, errors: 0, recentErrors: 0, refused: 0, phase: NO_CALLS };
    return {
      serving: this.deps.repository.pins.servedOf(this.model)?.version ?? '',
      ...this.state(),
      ...{ compared, agreed, difference, before: this.beforeNow(before.tally), after: own },
      pairs: { sampled, alike },
    };
  }

  /**
   * The calls of the version before. Once it has none any more, its copies say how fast it would be on this machine now: what has
   * become slower for both is not the fault of the new one.
   */
  private beforeNow(calls: CallTally): CallTally {
    const { copies } = this.counts.agreement;
    if (this.phase !== 'watching' || copies.calls < MIN_COPIES) return calls;
    return { ...calls, medianMs: Math.max(calls.medianMs, copies.tally.medianMs) };
  }

  /** No calls are looked at any more: the rollout is over, or this replica takes no part in it. */
  close(): void {
    this.endComparison();
  }

  /**
   * Too many calls fail at it: the version before, which is still ready, has them again at once. What follows is for the leader
   * to say, which sees the same figures, but only after a second or two: a retry budget does not last that long.
   */
  private guard(): void {
    const { fresh, old } = this;
    if (!this.isTaken || fresh === undefined || old === undefined || fresh.backend.isStandby) return;
    const { before, after } = this.counts;
    const { tally } = after;
    if (old.state.kind !== 'ready' || !failsClearly(before.tally, tally)) return;
    fresh.backend.isStandby = true;
    old.backend.isStandby = false;
    const { calls, errors } = tally;
    const { model, version } = this;
    this.deps.context.deps.logger.warn(
      { model, version, calls, errors },
      'calls return to the version before',
    );
  }

  /** Calls go to it, all of them or its share. */
  private get isTaken(): boolean {
    return this.phase === 'watching' || this.phase === 'canary';
  }

  private get candidate(): Revision | undefined {
    return this.deps.repository.pins.candidateOf(this.model);
  }

  /** The processes of the new version; undefined: none have been started, or they are going. */
  private get fresh(): LoadedRevision | undefined {
    const { candidate } = this;
    return candidate && this.deps.repository.loaded.held(candidate);
  }

  /** The processes of the version that is served. */
  private get old(): LoadedRevision | undefined {
    const { repository } = this.deps;
    const served = repository.pins.servedOf(this.model);
    return served && repository.loaded.held(served);
  }

  /** Starts its processes, unless they run. */
  private load(): void {
    const { repository } = this.deps;
    const { candidate } = this;
    if (candidate?.version === this.version) return;
    if (candidate !== undefined) repository.withdraw(this.model);
    const served = repository.pins.servedOf(this.model);
    // Files that have changed are another revision of the same version.
    const found = repository
      .listed(this.model)
      .find(({ version, fingerprint }) => version === this.version && fingerprint !== served?.fingerprint);
    this.why = found === undefined ? `there is no version ${this.version} in the directory` : '';
    if (found === undefined) return;
    this.beginCounts();
    repository.offer(found);
  }

  /** Its own server has compared the golden output at the load; this is the sidecar's comparison, by the way of calls. */
  private prove(): void {
    const { fresh } = this;
    if (fresh === undefined || fresh.isProven || fresh.state.kind !== 'ready') return;
    if (this.deps.isProven(fresh) !== true) return;
    fresh.prove();
    this.deps.moved(fresh);
  }

  /** It is the version that is served from now on, and the other one drains. */
  private finish(): void {
    const { repository } = this.deps;
    if (repository.pins.servedOf(this.model)?.version === this.version && this.candidate === undefined)
      return this.countRenewed();
    // A replica that has heard of the end only: it loads the version, and serves it once it is ready.
    this.load();
    const { fresh, old, isTaken } = this;
    if (fresh?.state.kind !== 'ready') return;
    this.endComparison();
    if (old !== undefined) old.backend.isStandby = false;
    fresh.releaseTraffic(1);
    fresh.backend.isStandby = false;
    repository.commit(this.model);
    this.deps.moved(fresh);
    this.phase = 'done';
    if (isTaken) this.countOn(fresh);
  }

  /** Its window may have had too few calls to show what is wrong: they are counted until the others have followed (`close`). */
  private countOn(revision: LoadedRevision): void {
    const { backend } = revision;
    this.counted = revision;
    const { agreement, before, after } = this.counts;
    const tap = new VersionTap(this.deps.context.dataPlane, { own: after, before, agreement });
    backend.tap = tap;
    this.taps.push(tap);
  }

  /** Fresh processes of it have taken over, as by `recycle`: what they do is counted with what those before them did. */
  private countRenewed(): void {
    const { old, counted } = this;
    if (old === undefined || counted === undefined || old === counted) return;
    if (old.state.kind !== 'ready' || this.deps.isProven(old) !== true) return;
    this.deathsBefore += counted.deaths;
    old.prove();
    this.countOn(old);
  }

  /** Calls fail at the version that serves here, by the same judgement as while it was watched; empty: they do not. */
  private whyFailing(): string {
    const { before, after } = this.counts;
    if (this.taps.length === 0 || !failsClearly(before.tally, after.tally)) return '';
    const { calls, errors } = after.tally;
    return `${errors} of ${calls} calls failed, the last of them after its window`;
  }

  private state(): Pick<ReplicaFacts, 'candidate' | 'why'> {
    const { candidate, fresh, old, why, phase } = this;
    // Of processes that an earlier rollout brought, the ends say nothing of the files that this one brings under the same number.
    const isTakenOver = candidate === undefined && phase === 'done' && old?.version === this.version;
    const deaths = this.deathsBefore + (old?.deaths ?? 0);
    if (isTakenOver && deaths >= DEATHS_SERVED) return { candidate: 'failed', why: whyDied(old, deaths) };
    const whyFailing = isTakenOver ? this.whyFailing() : '';
    if (whyFailing !== '') return { candidate: 'failed', why: whyFailing };
    if (candidate === undefined) return { candidate: why === '' ? 'none' : 'missing', why };
    // Golden outputs say nothing of a version that ends its process under calls; that it is ready again neither.
    if (fresh !== undefined && fresh.deaths > 0)
      return { candidate: 'failed', why: whyDied(fresh, fresh.deaths) };
    if (fresh === undefined || fresh.state.kind === 'loading') return { candidate: 'loading', why: '' };
    if (fresh.state.kind !== 'ready') return { candidate: 'failed', why: fresh.why };
    if (fresh.isProven) return { candidate: 'proven', why: '' };
    const isWrong = this.deps.isProven(fresh) === false;
    return isWrong
      ? { candidate: 'failed', why: 'its golden output differs' }
      : { candidate: 'loading', why: '' };
  }

  /** The version that answers has its calls copied to the other one. */
  private compare(old: LoadedRevision, fresh: LoadedRevision, copies: 'forward' | 'backward' | 'not'): void {
    const { context } = this.deps;
    const { dataPlane } = context;
    const clientOf = (revision: LoadedRevision): ModelClient => {
      const client = openModelClient(revision.hosts[0]!.address, context.deps);
      this.clients.push(client);
      return client;
    };
    const forward = copies === 'forward' ? clientOf(fresh) : undefined;
    const reverse = copies === 'backward' ? clientOf(old) : undefined;
    const { agreement, before, after } = this.counts;
    old.backend.tap = new VersionTap(
      dataPlane,
      { own: before, before, agreement },
      forward && { to: forward, ofRefused: false },
    );
    fresh.backend.tap = new VersionTap(
      dataPlane,
      { own: after, before, agreement },
      reverse && { to: reverse, ofRefused: true },
    );
    this.taps.push(old.backend.tap as VersionTap, fresh.backend.tap as VersionTap);
  }

  /** Calls are no longer looked at; what has been counted stays. */
  private endComparison(): void {
    this.counts.agreement.turn();
    for (const each of [this.old, this.fresh]) if (each !== undefined) each.backend.tap = null;
    this.counted = undefined;
    for (const tap of this.taps.splice(0)) tap.close();
    for (const client of this.clients.splice(0)) client.close();
  }
}

function whyDied({ hosts }: LoadedRevision, deaths: number): string {
  const said = hosts.map((host) => host.report().why).find((why) => why !== '');
  const times = deaths === 1 ? 'its process has ended' : `its processes have ended ${deaths} times`;
  return `${times} since its golden output passed${said === undefined ? '' : `: ${said}`}`;
}
