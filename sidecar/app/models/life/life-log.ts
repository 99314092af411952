import { LIFE_STATES, type LifeState, transitionsTo } from '../../../core/models/life.js';
import { type LifeFacts, lifeOf } from '../../../core/models/life-facts.js';
import type { Revision } from '../../../core/models/settled-listing.js';
import { getOrInsert } from '../../../runtime/get-or-insert.js';
import type { Logger } from '../../../runtime/log/logger.js';
import type { StateFile } from '../../../runtime/process/state-file.js';
import type { Clock } from '../../../runtime/time/clock.js';
import type { LifeReport } from '../../../telemetry/reports.js';

/** Versions that metrics tell apart; those beyond them are counted as the version `other`. */
const MAX_COUNTED = 64;
const FORMAT = 1;

/** A version with its state. */
interface Life {
  readonly name: string;
  readonly version: string;
  readonly fingerprint: string;
  state: LifeState;
  /** Why it is in it, in one sentence. */
  why: string;
  /** Wall-clock time since when, ms. */
  sinceMs: number;
}

/** How often a version went from one state to another. */
export interface TransitionCount {
  readonly model: string;
  readonly version: string;
  readonly from: LifeState;
  readonly to: LifeState;
  count: number;
}

/** What a sidecar that ran before has left of a version. */
export type PastLife = Pick<Life, 'name' | 'version' | 'fingerprint' | 'state' | 'why'>;

export interface LifeLogDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whose states these are; a file of another instance is ignored. */
  readonly instance: string;
  /** Absent: nothing is kept beyond the process. */
  readonly file?: StateFile | undefined;
}

/**
 * The states of all versions at this replica: moved by what is seen of their processes, along the table only. Each transition
 * is logged with its cause, counted, and kept in the state file.
 */
export class LifeLog {
  /** By the revision; of one version there are two while one takes over from the other. */
  private readonly lives = new Map<Revision, Life>();
  private readonly counts = new Map<string, TransitionCount>();
  private readonly counted = new Set<string>();
  /** What is kept beside the states, such as the place of a rollout; by name. */
  private readonly kept: Record<string, unknown>;
  /** Called after each change of a state. */
  onChange: () => void = () => {};
  /** As the sidecar before this one left them. */
  readonly past: readonly PastLife[];

  constructor(private readonly deps: LifeLogDeps) {
    const found = readPast(deps);
    this.past = found.models;
    this.kept = found.kept;
  }

  /** Takes over what is known of a revision. `revision`: the one of this fingerprint that runs. */
  observe(revision: Revision, facts: LifeFacts, why: string): void {
    const life = this.lifeOf(revision);
    // That it is unloaded for it says less than why it was rejected.
    if (life.state === 'rejected' && facts.load === 'unloading' && facts.rejection === '') return;
    this.move(life, lifeOf(facts, life.state), why);
  }

  /** The processes of the revision are gone. */
  ended(revision: Revision, why: string): void {
    const life = this.lives.get(revision);
    if (life !== undefined && life.state !== 'rejected') this.move(life, 'stopped', why);
  }

  /** It is no longer listed, whatever its state: others of the same files are. */
  drop(revision: Revision): void {
    if (this.lives.delete(revision)) this.save();
  }

  /** These versions are in the directory: what has stopped and is gone from it is no longer listed. */
  keepOnly(listed: readonly Revision[]): void {
    for (const [revision, { name, version, state }] of this.lives) {
      const isOver = state === 'stopped' || state === 'rejected';
      if (isOver && !listed.some((each) => each.name === name && each.version === version))
        this.lives.delete(revision);
    }
  }

  /** Why these very files were rejected, by this sidecar or the one before it; undefined: they were not. */
  whyRejected(revision: Revision): string | undefined {
    const known = this.latestOf(revision);
    return known?.state === 'rejected' && known.fingerprint === revision.fingerprint ? known.why : undefined;
  }

  /** Whether the files that this version had until now were rejected, and these are others. */
  isMended(revision: Revision): boolean {
    const known = this.latestOf(revision);
    return known?.state === 'rejected' && known.fingerprint !== revision.fingerprint;
  }

  /** What is known last of this version, by this sidecar or the one before it. */
  private latestOf({ name, version }: Revision): PastLife | undefined {
    const own = [...this.lives.values()].findLast((each) => each.name === name && each.version === version);
    return own ?? this.pastOf(name, version);
  }

  /** Whether the sidecar before this one had given up the processes of this version. */
  wasGivenUp(name: string, version: string): boolean {
    return this.pastOf(name, version)?.state === 'given-up';
  }

  private pastOf(name: string, version: string): PastLife | undefined {
    return this.past.find((each) => each.name === name && each.version === version);
  }

  /** Keeps a value beside the states; undefined: it is no longer kept. It has to be fit for JSON. */
  keep(name: string, value: unknown): void {
    if (JSON.stringify(this.kept[name]) === JSON.stringify(value)) return;
    if (value === undefined) delete this.kept[name];
    else this.kept[name] = value;
    this.save();
  }

  /** What was kept last under this name, by this process or the one before; the caller checks its shape. */
  recall(name: string): unknown {
    return Object.hasOwn(this.kept, name) ? this.kept[name] : undefined;
  }

  reports(): readonly LifeReport[] {
    return [...this.lives.values()].map(({ name, version, state, why, sinceMs }) => ({
      ...(name === '' ? {} : { name }),
      ...(version === '' ? {} : { version }),
      ...{ state, why, since: new Date(sinceMs).toISOString() },
    }));
  }

  /** `NAME:VERSION=STATE …`, of those that have a name. */
  get summary(): string {
    const named = [...this.lives.values()].filter(({ name }) => name !== '');
    return named.map(({ name, version, state }) => `${name}:${version || '-'}=${state}`).join(' ');
  }

  transitions(): readonly TransitionCount[] {
    return [...this.counts.values()];
  }

  /** Writes what waits: the process ends. */
  close(): void {
    this.deps.file?.flush();
  }

  /** The file is the successor's from here on. */
  handOver(): void {
    void this.deps.file?.leave();
  }

  /** Another revision of a version begins anew; one before it that is over is no longer listed. */
  private lifeOf(revision: Revision): Life {
    const known = this.lives.get(revision);
    if (known !== undefined) return known;
    const { name, version, fingerprint } = revision;
    for (const [other, life] of this.lives) {
      const isOver = life.state === 'stopped' || life.state === 'rejected';
      if (isOver && life.name === name && life.version === version) this.lives.delete(other);
    }
    const sinceMs = this.deps.clock.wallNow();
    const life: Life = {
      name,
      version,
      fingerprint,
      state: 'pending',
      why: 'found in the directory',
      sinceMs,
    };
    this.lives.set(revision, life);
    return life;
  }

  private move(life: Life, to: LifeState, why: string): void {
    const { name: model, version } = life;
    const way = transitionsTo(life.state, to);
    if (way === undefined) {
      this.deps.logger.error(
        { model, version, from: life.state, to, why },
        'a state that cannot be reached; it stays',
      );
      return;
    }
    for (const step of way) {
      this.count(model, version, step.from, step.to);
      this.deps.logger.info(
        { model, version, from: step.from, to: step.to, event: step.event, why },
        `model version ${step.to}`,
      );
      life.sinceMs = this.deps.clock.wallNow();
    }
    const isOther = life.state !== to || life.why !== why;
    life.state = to;
    life.why = why;
    if (!isOther) return;
    this.save();
    this.onChange();
  }

  private count(model: string, version: string, from: LifeState, to: LifeState): void {
    const own = `${version}/${model}`;
    if (this.counted.size < MAX_COUNTED) this.counted.add(own);
    const labels = this.counted.has(own) ? { model, version } : { model: 'other', version: 'other' };
    const key = `${labels.model} ${labels.version} ${from} ${to}`;
    getOrInsert(this.counts, key, () => ({ ...labels, from, to, count: 0 })).count++;
  }

  private save(): void {
    const models = [...this.lives.values()].map((life) => ({ ...life }));
    this.deps.file?.write({ format: FORMAT, instance: this.deps.instance, models, kept: { ...this.kept } });
  }
}

interface Past {
  readonly models: readonly PastLife[];
  readonly kept: Record<string, unknown>;
}

/** What the file holds, where it is one of this instance; what is wrong with it is said. */
function readPast({ file, instance }: LifeLogDeps): Past {
  const none = { models: [], kept: {} };
  const found = file?.read();
  if (file === undefined || found === undefined) return none;
  const { format, instance: owner, models, kept } = (found ?? {}) as Record<string, unknown>;
  const problem =
    format !== FORMAT
      ? `found the format ${JSON.stringify(format)}; expected ${FORMAT}`
      : owner !== instance
        ? `found the states of ${JSON.stringify(owner)}; expected those of ${instance}`
        : Array.isArray(models) && models.every(isPastLife)
          ? ''
          : 'found no list of states';
  if (problem === '') return { models, kept: isObject(kept) ? { ...kept } : {} } as Past;
  file.ignore(problem);
  return none;
}

function isPastLife(value: unknown): value is PastLife {
  if (!isObject(value)) return false;
  const { name, version, fingerprint, state, why } = value;
  const areTexts = [name, version, fingerprint, why].every((each) => typeof each === 'string');
  return areTexts && (LIFE_STATES as readonly unknown[]).includes(state);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
