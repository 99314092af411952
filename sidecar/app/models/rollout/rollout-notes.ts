import { describeRollout, type RolloutRecord } from '../../../core/models/rollout.js';
import type { Revision } from '../../../core/models/settled-listing.js';
import { AuditKind } from '../../../telemetry/audit/trail.js';
import type { AppContext } from '../../context.js';

/** A store that cannot be reached is named once per this, ms. */
const NAMED_MS = 60_000;

/** What the log and the audit log of a replica say of rollouts: each state once, as every look at the store meets it again. */
export class RolloutNotes {
  /** Why the store could not be reached at the last look; empty: it could. */
  problem = '';
  private problemMs = Number.NEGATIVE_INFINITY;
  /** The last state that has been logged. */
  private told = '';
  /** The last version that no rollout was begun of, and why. */
  private refused = '';

  /** @param where the place of the store, for people. */
  constructor(
    private readonly context: AppContext,
    private readonly where: string,
  ) {}

  /** A state of a rollout. It is recorded where it is another one than that of `before`, by each replica, so that the log of one alone tells the whole. */
  state(record: RolloutRecord, before: RolloutRecord | undefined): void {
    const told = `${record.id} ${record.state} ${JSON.stringify(record.replicas)}`;
    if (told === this.told) return;
    this.told = told;
    const { deps, dataPlane } = this.context;
    const { id, model, version, from, state, why } = record;
    deps.logger.info({ id, model, version, from, state, why }, `rollout ${describeRollout(record)}`);
    if (before?.id === id && before.state === state) return;
    dataPlane.audit.record(AuditKind.rollout, { id, model, version, from, state, why });
  }

  /** A version is new in the directory, and no rollout of it was begun; the same reason is logged once. */
  notBegun({ name: model, version }: Pick<Revision, 'name' | 'version'>, why: string): void {
    const refused = `${model} ${version} ${why}`;
    if (refused === this.refused) return;
    this.refused = refused;
    this.context.deps.logger.info({ model, version, why }, 'no rollout is begun');
  }

  /** The store cannot be reached, or read: logged once a minute. */
  unreachable(problem: string): void {
    const { clock, logger } = this.context.deps;
    const nowMs = clock.now();
    if (problem !== this.problem || nowMs - this.problemMs > NAMED_MS) {
      logger.warn({ problem, store: this.where }, 'rollouts cannot be followed; what is served stays');
      this.problemMs = nowMs;
    }
    this.problem = problem;
  }
}
