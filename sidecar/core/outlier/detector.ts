/** `observe` counts what would be ejected and ejects nothing. */
export type DetectorMode = 'enforce' | 'observe' | 'off';

/** What a detector holds against one endpoint. */
export interface Finding {
  /** One sentence for logs and the admin page, without the endpoint's name. */
  readonly why: string;
  /** Order among the findings of one detector: the highest takes the remaining places under the ejection cap. */
  readonly severity: number;
}

/** A kind of evidence that `DetectorState` keeps of one endpoint. */
export type SignalName = 'outcomes' | 'latencies' | 'outputs' | 'connections';

/** A detector that the pool applies at the end of each call: consecutive faults, model unavailable. */
export interface CallDetector {
  /** Name in metrics and reports, kebab-case. */
  readonly name: string;
  /** It goes by failed calls: successes of an endpoint whose ejection is suppressed speak against it. */
  readonly goesByFaults: boolean;
}

/** A detector of the outlier sweep, about once a second. docs/ARCHITECTURE.md says how to add one. */
export interface SweepDetector<Signal, Settings> extends CallDetector {
  /** What it reads of an endpoint; kept only while a detector that reads it is on. */
  readonly reads: SignalName;
  /**
   * Its findings, by the index of the signal; undefined where there is nothing against the endpoint.
   * @param signals of the admitted endpoints; ejected ones are neither examined nor compared with.
   */
  find(signals: readonly Signal[], settings: Settings, nowMs: number): readonly (Finding | undefined)[];
}
