import { REPORT_FAULTS, type ReportFault } from '../codec/orca.js';

/** How load reports come: in the trailers of calls, or out of band. */
export const REPORT_SOURCES = ['trailers', 'stream'] as const;
export type ReportSource = (typeof REPORT_SOURCES)[number];

/** Reports of the endpoints of one cluster that were read, by how they came, and what was wrong in them. */
export class ReportCounts {
  readonly read: Record<ReportSource, number> = { trailers: 0, stream: 0 };
  readonly faults = Object.fromEntries(REPORT_FAULTS.map((fault) => [fault, 0])) as Record<
    ReportFault,
    number
  >;
  /** Made once: it would be a closure per report. */
  readonly onFault = (fault: ReportFault): void => {
    this.faults[fault]++;
  };
}
