import { present } from '../../config/present.js';
import type { Listed } from '../../core/discovery/eviction-guard.js';
import type { Metric } from '../../telemetry/metric.js';
import { metric, metricsOver, one } from '../../telemetry/metric-rows.js';
import type { ParsePool } from './parser/parser-pool.js';
import type { QueryStatus } from './query/query-spec.js';
import type { RegistrationSync } from './registration/sync.js';

const COUNTED = ['answers', 'failures', 'resets', 'rereads', 'bytes'] as const;

/** The metrics of the queries, by name. @param extra metrics of other parts of the Consul side, put after these. */
export function metrics(statuses: readonly QueryStatus[], extra: readonly Metric[] = []): Metric[] {
  const queries = byName(statuses);
  const labelsOf = ({ name }: QueryStatus): Record<string, string> => ({ query: name });
  const perQuery = metricsOver(queries, labelsOf);
  const answered = queries.filter(({ ageMs }) => Number.isFinite(ageMs));
  const isUp = statuses.some(({ state }) => state === 'current');
  return [
    metric('outrider_consul_up', one(Number(isUp))),
    perQuery.metric('outrider_consul_query_failing', ({ problem }) => Number(problem !== undefined)),
    metricsOver(answered, labelsOf).metric('outrider_consul_age_seconds', ({ ageMs }) => ageMs / 1_000),
    perQuery.metric('outrider_consul_answers_total', ({ answers }) => answers),
    perQuery.metric('outrider_consul_failures_total', ({ failures }) => failures),
    perQuery.metric('outrider_consul_index_resets_total', ({ resets }) => resets),
    perQuery.metric('outrider_consul_rereads_total', ({ rereads }) => rereads),
    perQuery.metric('outrider_consul_bytes_total', ({ bytes }) => bytes),
    ...extra,
  ];
}

/** Queries that share a name, as those for subsets of one service may, are one row: sums, and the worse of the two. */
function byName(statuses: readonly QueryStatus[]): QueryStatus[] {
  const rows = new Map<string, QueryStatus>();
  for (const status of statuses) {
    const row = rows.get(status.name);
    rows.set(status.name, row === undefined ? status : merge(row, status));
  }
  return [...rows.values()];
}

/** Two rows of one name as one: counts are added up, of state, age and problem the worse counts. */
function merge(a: QueryStatus, b: QueryStatus): QueryStatus {
  const problem = a.problem ?? b.problem;
  const sums = Object.fromEntries(COUNTED.map((field) => [field, a[field] + b[field]]));
  return {
    name: a.name,
    state: a.state === 'current' ? b.state : a.state,
    index: Math.max(a.index, b.index),
    ageMs: Math.max(a.ageMs, b.ageMs),
    ...present('problem', problem),
    ...(sums as Record<(typeof COUNTED)[number], number>),
  };
}

/** The metrics of a registration and its checks. */
export function registrationMetrics(sync: RegistrationSync, failures: number): Metric[] {
  const { isConfirmed, registrations, checks } = sync;
  const perCheck = metricsOver([checks.service, checks.proxy], ({ id }) => ({ check: id }));
  return [
    metric('outrider_consul_registered', one(Number(isConfirmed))),
    metric('outrider_consul_registrations_total', one(registrations)),
    metric('outrider_consul_registration_failures_total', one(failures)),
    perCheck.metric('outrider_consul_check_passing', ({ state }) => Number(state.status === 'passing')),
  ];
}

/** What the metrics show of one target. */
interface TargetReport {
  readonly title: string;
  readonly members: readonly Listed[];
  /** Instances in use although Consul no longer lists them. */
  readonly kept: number;
  /** Entries of the last answer that made no sense. */
  readonly skipped: number;
  readonly holds: number;
  /** The token may not read the instances, and the last list stays in use. */
  readonly isUnreadable: boolean;
}

/** The metrics of instances, by target; of each status, also where no instance has it. */
export function targetMetrics(targets: readonly TargetReport[], parses: ParsePool['counts']): Metric[] {
  const perTarget = metricsOver(targets, ({ title }) => ({ target: title }));
  const instances = perTarget.by(
    'status',
    ['passing', 'warning', 'critical'],
    ({ members }, status) => members.filter((each) => each.status === status).length,
  );
  const parsed = [
    { labels: { where: 'main' }, value: parses.inPlace },
    { labels: { where: 'thread' }, value: parses.inThread },
  ];
  return [
    metric('outrider_consul_instances', instances),
    perTarget.metric('outrider_consul_kept_instances', ({ kept }) => kept),
    perTarget.metric('outrider_consul_holds_total', ({ holds }) => holds),
    perTarget.metric('outrider_consul_unreadable', ({ isUnreadable }) => Number(isUnreadable)),
    perTarget.metric('outrider_consul_skipped_entries', ({ skipped }) => skipped),
    metric('outrider_consul_parses_total', parsed),
    metric('outrider_consul_parse_failures_total', one(parses.failures)),
  ];
}
