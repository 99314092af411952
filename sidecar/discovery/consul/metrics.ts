import { present } from '../../config/present.js';
import type { Listed } from '../../core/discovery/eviction-guard.js';
import { counter, gauge, type Metric, type Sample } from '../../telemetry/metric.js';
import type { ParsePool } from './parser/parser-pool.js';
import type { QueryStatus } from './query/query-spec.js';
import type { RegistrationSync } from './registration/sync.js';

const COUNTED = ['answers', 'failures', 'resets', 'rereads', 'bytes'] as const;

/** The metrics of the queries, by name. @param extra metrics of other parts of the Consul side, put after these. */
export function metrics(statuses: readonly QueryStatus[], extra: readonly Metric[] = []): Metric[] {
  const queries = byName(statuses);
  const each = (of: (status: QueryStatus) => number): Sample[] =>
    queries
      .map((status) => ({ labels: { query: status.name }, value: of(status) }))
      .filter(({ value }) => Number.isFinite(value));
  return [
    gauge(
      'outrider_consul_up',
      '1 while at least one blocking query of the Consul agent succeeds; 0 while none does.',
      only(statuses.some(({ state }) => state === 'current') ? 1 : 0),
    ),
    gauge(
      'outrider_consul_query_failing',
      '1 while the last read of a query failed, and what was known before stays in use.',
      each(({ problem }) => (problem === undefined ? 0 : 1)),
    ),
    gauge(
      'outrider_consul_age_seconds',
      'Time since the last good answer to a query. At rest it goes up to the wait of a blocking query (5 min).',
      each(({ ageMs }) => ageMs / 1_000),
    ),
    counter(
      'outrider_consul_answers_total',
      'Good answers to a query.',
      each(({ answers }) => answers),
    ),
    counter(
      'outrider_consul_failures_total',
      'Failed reads of a query.',
      each(({ failures }) => failures),
    ),
    counter(
      'outrider_consul_index_resets_total',
      'Times that the index of a query went backwards: servers were restored or replaced.',
      each(({ resets }) => resets),
    ),
    counter(
      'outrider_consul_rereads_total',
      'Times that what a query had answered was doubted and read again.',
      each(({ rereads }) => rereads),
    ),
    counter(
      'outrider_consul_bytes_total',
      'Bytes of bodies read for a query.',
      each(({ bytes }) => bytes),
    ),
    ...extra,
  ];
}

function only(value: number): Sample[] {
  return [{ labels: {}, value }];
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
  return [
    gauge(
      'outrider_consul_registered',
      '1 while the agent had this instance and its checks when last asked.',
      only(isConfirmed ? 1 : 0),
    ),
    counter(
      'outrider_consul_registrations_total',
      'Definitions sent to the agent; more than a few an hour mean that it keeps forgetting them.',
      only(registrations),
    ),
    counter(
      'outrider_consul_registration_failures_total',
      'Rounds of registration, comparison or refresh that failed.',
      only(failures),
    ),
    gauge(
      'outrider_consul_check_passing',
      'What each check tells Consul: 1 passing, 0 critical, or a warning that one of several models is not served.',
      [checks.service, checks.proxy].map(({ id, state }) => ({
        labels: { check: id },
        value: state.status === 'passing' ? 1 : 0,
      })),
    ),
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
}

/** The metrics of instances, by target. */
export function targetMetrics(targets: readonly TargetReport[], parses: ParsePool['counts']): Metric[] {
  const each = (field: 'kept' | 'skipped' | 'holds'): Sample[] =>
    targets.map((target) => ({ labels: { target: target.title }, value: target[field] }));
  return [
    gauge(
      'outrider_consul_instances',
      'Instances in use by target and by the status that counts.',
      targets.flatMap(byStatus),
    ),
    gauge(
      'outrider_consul_kept_instances',
      'Instances in use although Consul took them away, because too many went at once.',
      each('kept'),
    ),
    counter(
      'outrider_consul_holds_total',
      'Times Consul took away most of a working set at once and was not believed for the grace time.',
      each('holds'),
    ),
    gauge(
      'outrider_consul_skipped_entries',
      'Entries of the last answer that make no sense and are left out.',
      each('skipped'),
    ),
    counter(
      'outrider_consul_parses_total',
      'Answers about instances that were parsed, on the main thread or in a thread of its own.',
      [
        { labels: { where: 'main' }, value: parses.inPlace },
        { labels: { where: 'thread' }, value: parses.inThread },
      ],
    ),
    counter(
      'outrider_consul_parse_failures_total',
      'Answers that the parse thread could not parse.',
      only(parses.failures),
    ),
  ];
}

/** One sample for each status, also where no instance has it. */
function byStatus({ title, members }: TargetReport): Sample[] {
  return (['passing', 'warning', 'critical'] as const).map((status) => ({
    labels: { target: title, status },
    value: members.filter((each) => each.status === status).length,
  }));
}
