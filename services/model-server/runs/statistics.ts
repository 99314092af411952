/**
 * Counts and durations of one model since it was loaded, as Triton's statistics extension defines them: a request counts
 * once, an inference is a row of a batch, an execution is a run. Times are kept in ms and sent in ns.
 */

/** How often, and how long in all. */
export class Duration {
  count = 0;
  ms = 0;

  add(ms: number, times = 1): void {
    this.count += times;
    this.ms += ms * times;
  }
}

/** The three parts of a run. */
export interface RunTimes {
  readonly inputMs: number;
  readonly inferMs: number;
  readonly outputMs: number;
}

/** Runs of one batch size. */
class BatchStats {
  readonly input = new Duration();
  readonly infer = new Duration();
  readonly output = new Duration();

  add({ inputMs, inferMs, outputMs }: RunTimes): void {
    this.input.add(inputMs);
    this.infer.add(inferMs);
    this.output.add(outputMs);
  }
}

/** Sizes beyond it are counted under the power of two below, so that the table stays small. */
const EXACT_ROWS = 64;

/** What is counted of one model. */
export class ModelStats {
  /** Requests that were answered, from their arrival to their answer. */
  readonly success = new Duration();
  readonly fail = new Duration();
  /** Waits before a run. */
  readonly queue = new Duration();
  readonly input = new Duration();
  readonly infer = new Duration();
  readonly output = new Duration();
  readonly batches = new Map<number, BatchStats>();
  /** Rows of successful requests. */
  inferences = 0;
  executions = 0;
  /** Requests that wait or run. */
  pending = 0;
  /** Requests whose caller had gone, or whose time was up, before they could run. */
  cancelled = 0;
  expired = 0;
  /** Epoch ms of the last request that was run; 0: none yet. */
  lastInferenceMs = 0;

  /** One run of `requests` requests with `rows` rows in all. */
  recordRun(rows: number, requests: number, times: RunTimes): void {
    this.executions += 1;
    this.input.add(times.inputMs, requests);
    this.infer.add(times.inferMs, requests);
    this.output.add(times.outputMs, requests);
    const size = rows <= EXACT_ROWS ? rows : 2 ** Math.floor(Math.log2(rows));
    let batch = this.batches.get(size);
    if (batch === undefined) {
      batch = new BatchStats();
      this.batches.set(size, batch);
    }
    batch.add(times);
  }
}
