/** Metrics of the targets. Their names come from configuration and config entries, never from what calls carry. */

import type { Family, Sample } from '../../admin/view.js';
import type { Health, Listed } from '../../core/discovery/eviction-guard.js';

export interface TargetReport {
  readonly title: string;
  readonly members: readonly Listed[];
  /** In use although Consul took them away. */
  readonly kept: number;
  /** Entries of the last answer that made no sense. */
  readonly skipped: number;
  readonly holds: number;
}

export interface ParseCounts {
  readonly inPlace: number;
  readonly inThread: number;
  readonly threads: number;
  readonly failures: number;
}

const STATUSES: readonly Health[] = ['passing', 'warning', 'critical'];

export function targetFamilies(targets: readonly TargetReport[], parses: ParseCounts): Family[] {
  const each = (value: (target: TargetReport) => number): Sample[] =>
    targets.map((target) => ({ labels: { target: target.title }, value: value(target) }));
  return [
    {
      kind: 'gauge',
      name: 'outrider_consul_instances',
      help: 'Instances in use by target and by the status that counts.',
      samples: targets.flatMap(byStatus),
    },
    {
      kind: 'gauge',
      name: 'outrider_consul_kept_instances',
      help: 'Instances in use although Consul took them away, because too many went at once.',
      samples: each(({ kept }) => kept),
    },
    {
      kind: 'counter',
      name: 'outrider_consul_holds_total',
      help: 'Times Consul took away most of a working set at once and was not believed for the grace time.',
      samples: each(({ holds }) => holds),
    },
    {
      kind: 'gauge',
      name: 'outrider_consul_skipped_entries',
      help: 'Entries of the last answer that make no sense and are left out.',
      samples: each(({ skipped }) => skipped),
    },
    {
      kind: 'counter',
      name: 'outrider_consul_parses_total',
      help: 'Answers about instances that were parsed, on the main thread or in a thread of its own.',
      samples: [
        { labels: { where: 'main' }, value: parses.inPlace },
        { labels: { where: 'thread' }, value: parses.inThread },
      ],
    },
    {
      kind: 'counter',
      name: 'outrider_consul_parse_failures_total',
      help: 'Answers that the parse thread could not parse.',
      samples: [{ labels: {}, value: parses.failures }],
    },
  ];
}

function byStatus({ title, members }: TargetReport): Sample[] {
  const counts: Record<Health, number> = { passing: 0, warning: 0, critical: 0 };
  for (const { status } of members) counts[status] += 1;
  return STATUSES.map((status) => ({ labels: { target: title, status }, value: counts[status] }));
}
