/** What a model of the drills says of its load in trailers (ORCA): the truth, or what a replica may say that is broken or cheats. */

import { Metadata } from '@grpc/grpc-js';
import { LoadReport, OwnMetric, writeLoadReport } from '../../../sidecar/codec/orca.js';
import { BINARY_REPORT, TEXT_REPORT } from '../../../sidecar/codec/orca-metadata.js';

/** Lies by name, with the calls that a report then claims; the last two lie by their form. */
const CLAIMED = {
  none: 0,
  nan: Number.NaN,
  negative: -5,
  huge: 1e300,
  /** The binary form says none, the text form NaN. */
  'two-formats': 0,
  /** Of no calls, in a megabyte. */
  megabyte: 0,
} as const;

export type Lie = keyof typeof CLAIMED;
export const LIES = Object.keys(CLAIMED) as readonly Lie[];

/** What the model knows of itself. */
export interface TrueLoad {
  readonly calls: number;
  readonly concurrency: number;
  readonly runSeconds: number;
}

const MEGABYTE = 1 << 20;

/** The trailers of an answer. */
export function reportTrailers(says: Lie | 'truth', { calls, concurrency, runSeconds }: TrueLoad): Metadata {
  const report = new LoadReport();
  report.named.set(OwnMetric.calls, says === 'truth' ? calls : CLAIMED[says]);
  report.named.set(OwnMetric.concurrency, concurrency).set(OwnMetric.runSeconds, runSeconds);
  if (says === 'megabyte') report.named.set('x'.repeat(MEGABYTE), 0);
  const metadata = new Metadata();
  metadata.set(BINARY_REPORT, writeLoadReport(report));
  if (says === 'two-formats') metadata.set(TEXT_REPORT, `TEXT named_metrics.${OwnMetric.calls}=NaN`);
  return metadata;
}
