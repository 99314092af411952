import type { StatusReport } from '../../admin/status.js';
import { modelTitle } from '../../telemetry/model-title.js';

/** Something that happened, for the timeline. */
export interface Mark {
  readonly atMs: number;
  readonly kind: 'ejection' | 'restart' | 'gone';
  /** The service that it is about. */
  readonly service: string;
  /** One sentence without its full stop. */
  readonly text: string;
}

/** So that a mesh that flaps takes no memory without bound. */
const MAX_MARKS = 200;

/** What happened in a mesh, found by comparing the reports of its sidecars with the ones before. */
export class Marks {
  private all: Mark[] = [];
  private readonly before = new Map<string, StatusReport>();
  /** Of the sidecars themselves, also of those that do not answer now: one that died is back between two looks, or after some. */
  private readonly restarts = new Map<string, number>();

  constructor(private readonly keepMs: number) {}

  /** The latest report of a sidecar; undefined: it does not answer. @param nowMs monotonic. */
  see(name: string, report: StatusReport | undefined, nowMs: number): void {
    const before = this.before.get(name);
    if (report === undefined) {
      if (before !== undefined)
        this.add({ atMs: nowMs, kind: 'gone', service: before.service, text: `${name} does not answer` });
      this.before.delete(name);
    } else {
      this.before.set(name, report);
      if (before !== undefined) for (const mark of marksBetween(name, before, report, nowMs)) this.add(mark);
      this.seeRestarts(name, report, nowMs);
    }
    while (this.all[0] !== undefined && this.all[0].atMs < nowMs - this.keepMs) this.all.shift();
  }

  /** As its parent counts them; a sidecar without one that does says nothing. */
  private seeRestarts(name: string, { restarts, service }: StatusReport, atMs: number): void {
    if (restarts === undefined) return;
    const earlier = this.restarts.get(name);
    this.restarts.set(name, restarts);
    if (earlier !== undefined && restarts > earlier)
      this.add({ atMs, kind: 'restart', service, text: `the sidecar ${name} was started again` });
  }

  /** Forgets sidecars that are not asked any more, so that a mesh whose pods come and go for weeks stays small. @param names those that are. */
  retain(names: ReadonlySet<string>): void {
    for (const known of [this.before, this.restarts])
      for (const name of known.keys()) if (!names.has(name)) known.delete(name);
  }

  /** Oldest first. */
  get list(): readonly Mark[] {
    return this.all;
  }

  private add(mark: Mark): void {
    this.all.push(mark);
    if (this.all.length > MAX_MARKS) this.all.shift();
  }
}

/** What differs between two reports of one sidecar. */
function marksBetween(name: string, before: StatusReport, after: StatusReport, atMs: number): Mark[] {
  // By count, not by state: an ejection that came and went between two looks is seen too.
  const ejections = new Map(
    before.endpoints.map((each) => [`${each.upstream} ${each.cluster} ${each.endpoint}`, each.ejections]),
  );
  const ejected = after.endpoints.flatMap(
    ({ upstream, cluster, endpoint, ejections: count, why }): Mark[] => {
      const earlier = ejections.get(`${upstream} ${cluster} ${endpoint}`);
      if (earlier === undefined || count <= earlier) return [];
      return [
        {
          atMs,
          kind: 'ejection',
          service: upstream,
          text: `${name} ejected ${endpoint}${why === '' ? '' : `: ${why}`}`,
        },
      ];
    },
  );
  const restarts = new Map(modelsOf(before).map((each) => [modelTitle(each), each.restarts]));
  const restarted = modelsOf(after).flatMap((each): Mark[] => {
    const earlier = restarts.get(modelTitle(each));
    if (earlier === undefined || each.restarts <= earlier) return [];
    const what = each.name === undefined ? 'the model' : `model ${modelTitle(each)}`;
    return [{ atMs, kind: 'restart', service: after.service, text: `${what} of ${name} was started again` }];
  });
  return [...ejected, ...restarted];
}

/** One of several, or the only one. */
function modelsOf({ model, models }: StatusReport) {
  return models ?? (model === undefined ? [] : [model]);
}
