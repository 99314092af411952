/**
 * The limits of a queue that single models have in place of those of the whole service: which entry of the list is about a
 * model, and what it leaves as it is.
 */

/** Limits of one model, or of one version of it; what is absent is as for the whole service. */
export interface ModelLimit {
  readonly model: string;
  /** Absent: all versions, and calls that name none. */
  readonly version?: string;
  readonly concurrency?: number;
  readonly maxWaiting?: number;
  readonly maxWaitingBytes?: number;
}

/** The options of a queue that a limit may replace. */
export interface LimitedQueue {
  readonly concurrency: number;
  readonly maxWaiting: number;
  readonly maxWaitingBytes: number;
  readonly adaptive?: object | undefined;
  readonly models?: readonly ModelLimit[] | undefined;
}

/** The limits of the calls that name this model and version: those of the version before those of the model. Empty version: none is named. */
export function limitOf(
  limits: readonly ModelLimit[],
  name: string,
  version: string,
): ModelLimit | undefined {
  let found: ModelLimit | undefined;
  for (const each of limits) {
    if (each.model !== name) continue;
    if (each.version === undefined) found ??= each;
    else if (each.version === version) return each;
  }
  return found;
}

/**
 * Limits that are about only a part of the calls that come to one queue: where that is of all models (empty name) each of them
 * is; where it is of one model whose versions are not told apart, those of its versions; else none.
 */
export function limitsWithin(
  limits: readonly ModelLimit[],
  name: string,
  version: string,
): readonly ModelLimit[] {
  if (name === '') return limits;
  if (version !== '') return [];
  return limits.filter((each) => each.model === name && each.version !== undefined);
}

/** The queue with these limits. A number of calls at once that the limit says holds: nothing is searched for. */
export function withLimit<Q extends LimitedQueue>(queue: Q, limit: ModelLimit | undefined): Q {
  if (limit === undefined) return queue;
  const { concurrency, maxWaiting = queue.maxWaiting, maxWaitingBytes = queue.maxWaitingBytes } = limit;
  if (concurrency === undefined) return { ...queue, maxWaiting, maxWaitingBytes };
  const { adaptive: _, ...rest } = queue;
  return { ...(rest as Q), concurrency, maxWaiting, maxWaitingBytes };
}
