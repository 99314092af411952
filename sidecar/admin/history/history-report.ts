/** The JSON of `/history`: the last half hour as a sidecar has seen it. Lists have one entry for each slot, the oldest first. */
export interface HistoryReport {
  /** Wall-clock time of the start of this history, ms: it tells one process from the next. */
  readonly began: number;
  /** Number of the first slot of the lists. */
  readonly first: number;
  /** Length of a slot, and how long ago the last one ended. */
  readonly slotMs: number;
  readonly ageMs: number;
  /** Time that each slot covers; 0: there is no reading. */
  readonly spansMs: readonly number[];
  /** Upper bounds of the buckets of `times`; one more bucket takes the rest. */
  readonly boundsMs: readonly number[];
  readonly calls: readonly CallHistory[];
  /** Absent in a sidecar beside a caller only. */
  readonly queue?: QueueHistory;
  /** The sidecar itself: a letter for each slot (core/history/replica-state.ts). */
  readonly self: string;
  readonly endpoints: readonly EndpointHistory[];
  /** Oldest first. */
  readonly events: readonly HistoryEvent[];
}

/** Calls that ended, of one direction and service. */
export interface CallHistory {
  readonly direction: 'inbound' | 'outbound';
  readonly service: string;
  readonly calls: readonly number[];
  readonly failed: readonly number[];
  /** Calls in each bucket; without the empty ones at the end. */
  readonly times: readonly (readonly number[])[];
}

export interface QueueHistory {
  readonly running: readonly number[];
  readonly waiting: readonly number[];
  readonly concurrency: readonly number[];
}

/** One endpoint of an upstream, as this sidecar sees it. */
export interface EndpointHistory {
  readonly upstream: string;
  readonly endpoint: string;
  /** A letter for each slot. */
  readonly states: string;
}

/** What can happen. */
export type EventKind = 'ejection' | 'restart' | 'drain' | 'version' | 'gone';

/** Something that happened. */
export interface HistoryEvent {
  readonly slot: number;
  readonly kind: EventKind;
  /** The service that it is about. */
  readonly service: string;
  /** One sentence without its full stop. */
  readonly text: string;
}
