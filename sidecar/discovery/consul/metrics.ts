/** The blocking queries as metric families. Labels are the names of queries, which come from configuration. */

import type { Family, Sample } from '../../admin/view.js';
import type { QueryStatus } from './query/query-spec.js';

/** @param extra families of other parts of the Consul side, put after these. */
export function families(statuses: readonly QueryStatus[], extra: readonly Family[] = []): Family[] {
  const queries = byName(statuses);
  const each = (of: (status: QueryStatus) => number): Sample[] =>
    queries
      .map((status) => ({ labels: { query: status.name }, value: of(status) }))
      .filter(({ value }) => Number.isFinite(value));
  return [
    {
      kind: 'gauge',
      name: 'outrider_consul_up',
      help: '1 while at least one blocking query of the Consul agent succeeds; 0 while none does.',
      samples: [{ labels: {}, value: statuses.some(({ state }) => state === 'current') ? 1 : 0 }],
    },
    {
      kind: 'gauge',
      name: 'outrider_consul_query_failing',
      help: '1 while the last read of a query failed, and what was known before stays in use.',
      samples: each(({ problem }) => (problem === undefined ? 0 : 1)),
    },
    {
      kind: 'gauge',
      name: 'outrider_consul_age_seconds',
      help: 'Time since the last good answer to a query. At rest it goes up to the wait of a blocking query (5 min).',
      samples: each(({ ageMs }) => ageMs / 1_000),
    },
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

function counter(name: string, help: string, samples: Sample[]): Family {
  return { kind: 'counter', name, help, samples };
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

function merge(a: QueryStatus, b: QueryStatus): QueryStatus {
  const problem = a.problem ?? b.problem;
  return {
    name: a.name,
    state: a.state === 'current' ? b.state : a.state,
    index: Math.max(a.index, b.index),
    ageMs: Math.max(a.ageMs, b.ageMs),
    ...(problem === undefined ? {} : { problem }),
    answers: a.answers + b.answers,
    failures: a.failures + b.failures,
    resets: a.resets + b.resets,
    rereads: a.rereads + b.rereads,
    bytes: a.bytes + b.bytes,
  };
}
