/** Why data points were not exported. */
const POINT_DROP_REASONS = ['unreachable', 'refused', 'late', 'invalid', 'encode', 'shutdown'] as const;
export type PointDropReason = (typeof POINT_DROP_REASONS)[number];

/** What became of data points. They outlive the exporter, so that a changed configuration does not begin them anew. */
export class ExportCounts {
  exported = 0;
  /** Requests that failed or were refused. */
  failures = 0;
  readonly dropped: Record<PointDropReason, number>;

  constructor() {
    const zeros = POINT_DROP_REASONS.map((reason) => [reason, 0]);
    this.dropped = Object.fromEntries(zeros) as Record<PointDropReason, number>;
  }
}
