/** Where a revision of a model stands. Triton's index says UNAVAILABLE for `unavailable`, `failed` and `unloaded`. */
export type LoadState =
  /** Its processes start, load, run the golden input. It gets no call unless no other revision is ready. */
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready' }
  /** None of its processes serves for now; they are started again. */
  | { readonly kind: 'unavailable'; readonly why: string }
  /** It could not be loaded, and its processes are stopped. */
  | { readonly kind: 'failed'; readonly why: string }
  /** It gets no new call; those that it has end. */
  | { readonly kind: 'unloading' };

/** What is known of one process of a revision. */
export type InstanceFact =
  | { readonly kind: 'ready' | 'starting' }
  /** It has ended, or answers that it cannot serve. */
  | { readonly kind: 'away'; readonly why: string };

/**
 * What becomes of a revision whose processes are in these states.
 *
 * A load ends well when every process that can serve does, and badly when one says that it cannot while none serves.
 * `isRetried`: a bad load goes on in the care of the supervisor, as for models that were there at the start, of which no
 * other revision is served; otherwise it is over until the files change or a load is asked for.
 */
export function nextLoadState(
  state: LoadState,
  instances: readonly InstanceFact[],
  isRetried: boolean,
): LoadState {
  if (state.kind === 'failed' || state.kind === 'unloading') return state;
  const isServing = instances.some(({ kind }) => kind === 'ready');
  const isStarting = instances.some(({ kind }) => kind === 'starting');
  if (isServing) return state.kind === 'loading' && isStarting ? state : READY;
  const away = instances.find((each) => each.kind === 'away');
  if (state.kind !== 'loading') return away === undefined ? LOADING : { kind: 'unavailable', why: away.why };
  if (away === undefined) return state;
  return { kind: isRetried ? 'unavailable' : 'failed', why: away.why };
}

const READY: LoadState = { kind: 'ready' };
const LOADING: LoadState = { kind: 'loading' };
