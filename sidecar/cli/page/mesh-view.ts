import type { StatusReport } from '../../admin/status.js';
import { present } from '../../config/present.js';
import { edgeCounts } from './edge-counts.js';
import { EdgeHistory, type EdgeRates } from './history.js';
import { type Mark, Marks } from './marks.js';

/** What one sidecar answered when it was last asked. */
export interface Answered {
  readonly name: string;
  /** Undefined: it does not answer, and `problem` says why. */
  readonly report?: StatusReport;
  /** Whose sidecar it was when it last answered; absent while it answers, and where it never has. */
  readonly lastService?: string;
  readonly problem?: string;
  /** The text of `/metrics`. */
  readonly metrics?: string;
  /** Faults that are on for a drill, a sentence each. */
  readonly drills?: readonly string[];
  /** Its admin port is not reached: it cannot be drained from here. */
  readonly isRemote?: boolean;
  /** What is not known of it, and why. */
  readonly note?: string;
}

/** Calls of one service to another, all sidecars of the first together. */
export interface Edge {
  readonly from: string;
  readonly to: string;
  readonly now: EdgeRates;
  /** Calls and failed calls per second, oldest first. */
  readonly steps: readonly { readonly atMs: number; readonly perSecond: number; readonly failed: number }[];
}

/** The mesh at one moment, as the page shows it. */
export interface MeshMoment {
  readonly nowMs: number;
  readonly keepMs: number;
  readonly sidecars: readonly Answered[];
  readonly edges: readonly Edge[];
  readonly marks: readonly Mark[];
}

/** How long rates and marks are kept, and over how long the numbers of now are taken. */
export const KEEP_MS = 300_000;
const WINDOW_MS = 30_000;

/** The mesh over the last minutes, from the answers of its sidecars. */
export class MeshView {
  private sidecars: readonly Answered[] = [];
  /** By the name of the sidecar. */
  private services: ReadonlyMap<string, string> = new Map();
  /** By caller's sidecar and service. */
  private readonly histories = new Map<string, { from: string; to: string; history: EdgeHistory }>();
  private readonly marks = new Marks(KEEP_MS);

  /** @param nowMs monotonic. */
  take(answers: readonly Answered[], nowMs: number): void {
    this.sidecars = answers.map((each) => this.withService(each));
    this.services = new Map(
      this.sidecars.flatMap(({ name, report, lastService }) => {
        const service = report?.service ?? lastService;
        return service === undefined ? [] : [[name, service] as const];
      }),
    );
    for (const { name, report, metrics } of answers) {
      this.marks.see(name, report, nowMs);
      if (report === undefined || metrics === undefined) continue;
      for (const [to, counts] of edgeCounts(metrics)) {
        const key = `${name}\n${to}`;
        const known = this.histories.get(key) ?? {
          from: report.service,
          to,
          history: new EdgeHistory(KEEP_MS),
        };
        this.histories.set(key, known);
        // One ring for each sidecar: sums over sidecars would jump when one of them starts anew.
        known.history.add(nowMs, counts);
      }
    }
    this.marks.retain(new Set(answers.map(({ name }) => name)));
    // Sidecars that are gone take their rings along, so that a mesh that changes for weeks stays small.
    for (const [key, { history }] of this.histories)
      if ((history.lastMs ?? 0) < nowMs - KEEP_MS) this.histories.delete(key);
  }

  /** One that is gone still counts among the sidecars of its service: two of two would look well where there are three. */
  private withService(answer: Answered): Answered {
    const lastService = answer.report === undefined ? this.services.get(answer.name) : undefined;
    return { ...answer, ...present('lastService', lastService) };
  }

  moment(nowMs: number): MeshMoment {
    const groups = new Map<string, EdgeHistory[]>();
    // What may be called is shown before the first call.
    for (const { report } of this.sidecars)
      for (const { upstream } of report?.endpoints ?? []) groups.set(`${report!.service}\n${upstream}`, []);
    for (const { from, to, history } of this.histories.values()) {
      const key = `${from}\n${to}`;
      groups.set(key, [...(groups.get(key) ?? []), history]);
    }
    const edges = [...groups].map(([key, histories]) => {
      const [from = '', to = ''] = key.split('\n');
      return {
        from,
        to,
        now: together(histories.map((each) => each.rates(nowMs, WINDOW_MS))),
        steps: stepsOf(histories),
      };
    });
    const { sidecars } = this;
    return { nowMs, keepMs: KEEP_MS, sidecars, edges, marks: this.marks.list };
  }
}

/** Sums of calls; of latencies the worst, as quantiles cannot be added. */
function together(all: readonly EdgeRates[]): EdgeRates {
  const perSecond = all.reduce((sum, each) => sum + each.perSecond, 0);
  if (perSecond === 0) return { perSecond };
  const good = all.reduce((sum, each) => sum + each.perSecond * (each.successRatio ?? 1), 0);
  const worst = (read: (each: EdgeRates) => number | undefined) =>
    Math.max(...all.map((each) => read(each) ?? 0));
  return {
    perSecond,
    successRatio: good / perSecond,
    p50: worst(({ p50 }) => p50),
    p99: worst(({ p99 }) => p99),
  };
}

/** Sidecars are asked at the same moments, so that steps of one moment are added up. */
function stepsOf(histories: readonly EdgeHistory[]): Edge['steps'] {
  const sums = new Map<number, { perSecond: number; failed: number }>();
  for (const { atMs, perSecond, successRatio = 1 } of histories.flatMap((each) => each.steps())) {
    const sum = sums.get(atMs) ?? { perSecond: 0, failed: 0 };
    sums.set(atMs, {
      perSecond: sum.perSecond + perSecond,
      failed: sum.failed + perSecond * (1 - successRatio),
    });
  }
  return [...sums].sort(([a], [b]) => a - b).map(([atMs, sum]) => ({ atMs, ...sum }));
}
