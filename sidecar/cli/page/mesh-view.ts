import type { HistoryReport } from '../../admin/history/history-report.js';
import type { RatesNow } from '../../admin/look/charts.js';
import { type CallSource, ratesNow } from '../../admin/look/rates.js';
import type { StatusReport } from '../../admin/status.js';
import { present } from '../../config/present.js';
import type { HalfHour } from '../../core/history/half-hour.js';
import type { RolloutRecord } from '../../core/models/rollout.js';
import { oneLine } from '../failure.js';
import { metricTotals } from './metric-totals.js';
import { pageSlot, SidecarHistory } from './sidecar-history.js';

/** What one sidecar answered when it was last asked. */
export interface Answered {
  readonly name: string;
  /** Undefined: it does not answer, and `problem` says why. */
  readonly report?: StatusReport;
  /** Whose sidecar it was when it last answered; absent while it answers, and where it never has. */
  readonly lastService?: string;
  readonly problem?: string;
  /** What it has kept since it was last asked; absent: it keeps nothing, or is not reached at its admin port. */
  readonly history?: HistoryReport;
  /** The text of `/metrics`, of one without a history. */
  readonly metrics?: string;
  /** The rollout of its service; absent: there has been none. */
  readonly rollout?: RolloutRecord;
  /** Faults that are on for a drill, a sentence each. */
  readonly drills?: readonly string[];
  /** Its admin port is not reached: it cannot be drained from here. */
  readonly isRemote?: boolean;
  /** What is not known of it, and why. */
  readonly note?: string;
  /** Options with which other commands find it, such as `--admin 127.0.0.1:8890`; absent: they need none. */
  readonly options?: string;
}

/** Calls of one service to another, all sidecars of the first together. */
export interface Edge {
  readonly from: string;
  readonly to: string;
  readonly now: RatesNow;
}

/** Something that happened, with its wall-clock time. */
export interface Mark {
  readonly atMs: number;
  readonly kind: string;
  readonly service: string;
  readonly text: string;
}

/** The mesh at one moment, as the page shows it. */
export interface MeshMoment {
  /** Wall-clock time. */
  readonly nowMs: number;
  readonly sidecars: readonly Answered[];
  readonly edges: readonly Edge[];
  readonly marks: readonly Mark[];
  /** By the name of the sidecar. */
  readonly histories: ReadonlyMap<string, HalfHour>;
  /** Sidecars of which only that is known which the page has seen itself. */
  readonly unkept: readonly string[];
}

/** The mesh over the last half hour, from the answers of its sidecars. */
export class MeshView {
  private sidecars: readonly Answered[] = [];
  /** By the name of the sidecar. */
  private services: ReadonlyMap<string, string> = new Map();
  private readonly histories = new Map<string, SidecarHistory>();
  /** How often parents have started sidecars, also of those that do not answer now. */
  private readonly restarts = new Map<string, number>();

  /** The newest slot that is known of a sidecar; -1: none. */
  sinceOf(name: string): number {
    return this.histories.get(name)?.since ?? -1;
  }

  /** @param wallMs wall-clock time, by which the histories of several machines are laid side by side. */
  take(answers: readonly Answered[], wallMs: number): void {
    this.sidecars = answers.map((each) => this.taken(each, wallMs));
    this.services = new Map(
      this.sidecars.flatMap((each) => {
        const service = serviceOf(each);
        return service === undefined ? [] : [[each.name, service] as const];
      }),
    );
    // Sidecars that are not asked any more take their histories along, so that a mesh that changes for weeks stays small.
    const names = new Set(answers.map(({ name }) => name));
    for (const known of [this.histories, this.restarts])
      for (const name of known.keys()) if (!names.has(name)) known.delete(name);
  }

  /** An answer that cannot be read, as one of another version may be, is a problem of that sidecar alone. */
  private taken(answer: Answered, wallMs: number): Answered {
    const known = this.withService(answer);
    try {
      this.takeOne(known, wallMs);
      return known;
    } catch (error) {
      const problem = `its answer cannot be read: ${oneLine(error)}`;
      const unread = this.withService({ name: answer.name, problem });
      this.takeOne(unread, wallMs);
      return unread;
    }
  }

  private takeOne({ name, report, history, metrics, lastService }: Answered, wallMs: number): void {
    const known = this.histories.get(name) ?? new SidecarHistory();
    this.histories.set(name, known);
    if (report === undefined) {
      known.missed(name, lastService, wallMs);
      return;
    }
    if (history !== undefined) known.takeReport(name, history, report, wallMs);
    else known.takeReading(name, report, metrics === undefined ? undefined : metricTotals(metrics), wallMs);
    this.noteRestart(name, report, known, wallMs);
  }

  /** As its parent counts them; a sidecar without one that does says nothing. Its own history began with it. */
  private noteRestart(name: string, report: StatusReport, known: SidecarHistory, wallMs: number): void {
    const { restarts, service } = report;
    if (restarts === undefined) return;
    const earlier = this.restarts.get(name);
    this.restarts.set(name, restarts);
    if (earlier !== undefined && restarts > earlier)
      known.note({ kind: 'restart', service, text: `the sidecar ${name} was started again` }, wallMs);
  }

  /** One that is gone still counts among the sidecars of its service: two of two would look well where there are three. */
  private withService(answer: Answered): Answered {
    const lastService = answer.report === undefined ? this.services.get(answer.name) : undefined;
    return { ...answer, ...present('lastService', lastService) };
  }

  moment(wallMs: number): MeshMoment {
    const { sidecars } = this;
    const histories = new Map([...this.histories].map(([name, { history }]) => [name, history]));
    const slot = pageSlot(wallMs);
    const edges = [...edgeSources(sidecars, histories)].map(([key, sources]) => {
      const [from = '', to = ''] = key.split('\n');
      return { from, to, now: ratesNow(sources, slot) };
    });
    const marks = [...this.histories.values()].flatMap(({ history }) =>
      history.events.map(({ slot: at, ...event }) => ({ ...event, atMs: timeOfSlot(at) })),
    );
    const unkept = sidecars.flatMap(({ name, report }) =>
      report === undefined || this.histories.get(name)?.isKept === true ? [] : [name],
    );
    return {
      nowMs: wallMs,
      sidecars,
      edges,
      marks: marks.sort((a, b) => a.atMs - b.atMs),
      histories,
      unkept,
    };
  }
}

/** The service of a sidecar, also of one that does not answer any more. */
export function serviceOf({ report, lastService }: Answered): string | undefined {
  return report?.service ?? lastService;
}

/** The middle of a slot. */
function timeOfSlot(slot: number): number {
  return (slot + 0.5) * 5_000;
}

/** By `FROM\nTO`: what may be called, and what was. */
function edgeSources(
  sidecars: readonly Answered[],
  histories: ReadonlyMap<string, HalfHour>,
): ReadonlyMap<string, CallSource[]> {
  const groups = new Map<string, CallSource[]>();
  const add = (key: string, ...sources: CallSource[]) => {
    const known = groups.get(key);
    if (known === undefined) groups.set(key, sources);
    else known.push(...sources);
  };
  for (const sidecar of sidecars) {
    const from = serviceOf(sidecar);
    if (from === undefined) continue;
    // What may be called is shown before the first call.
    for (const { upstream } of sidecar.report?.endpoints ?? []) add(`${from}\n${upstream}`);
    const history = histories.get(sidecar.name);
    for (const kind of history?.kinds ?? [])
      if (kind.startsWith(OUTBOUND))
        add(`${from}\n${kind.slice(OUTBOUND.length)}`, { history: history!, kind });
  }
  return groups;
}

const OUTBOUND = 'outbound ';

/**
 * Where the calls to a service are counted: at its callers, who see what callers see; at the replicas themselves where no caller has a
 * sidecar here.
 */
export function callSources(service: string, { sidecars, histories }: MeshMoment): readonly CallSource[] {
  const of = (direction: string): CallSource[] =>
    sidecars.flatMap(({ name }) => {
      const history = histories.get(name);
      const kind = `${direction} ${service}`;
      return history?.kinds.includes(kind) === true ? [{ history, kind }] : [];
    });
  const callers = of('outbound');
  return callers.length > 0 ? callers : of('inbound');
}
