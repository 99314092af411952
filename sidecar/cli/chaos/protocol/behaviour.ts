/** How a model of a drill behaves, and what it and the command say to each other about it. */

/**
 * How a call fails. `at-once`: without a run, with the status in the place of headers. `trailers-only`: after the run, in the
 * place of headers. `trailers`: headers first, then the run, then the status, where a proxy that reads headers misses it.
 */
export type FailureForm = 'at-once' | 'trailers-only' | 'trailers';

export interface Failure {
  readonly does: 'fail';
  readonly code: number;
  readonly form: FailureForm;
  /** So many of the calls, from 0 to 1. Absent: all. */
  readonly share?: number;
  /** It fails for so long and answers for so long, in turn, ms. Absent: it fails all the time. */
  readonly turnMs?: number;
}

/** What a model does with its calls. It is told while it runs, and again at each of its starts. */
export type Behaviour =
  | { readonly does: 'answer' }
  /** A run takes so many times as long: each, or one in so many. */
  | { readonly does: 'slow'; readonly factor: number; readonly every?: number }
  | Failure
  /** Answers are OK, and each number in them is NaN. */
  | { readonly does: 'nan' }
  /** Answers are OK, and have one number less than they should. */
  | { readonly does: 'wrong-shape' }
  /** Takes calls and answers none. */
  | { readonly does: 'hang' }
  /** Ends itself, with exit code 1, so many ms after it was told or was started. */
  | { readonly does: 'crash'; readonly afterMs: number }
  /** Streams begin so late, headers and first message together, as a long prompt makes them; ms. */
  | { readonly does: 'ponder'; readonly ms: number }
  /** Each job takes so long, ms; other calls take what they always take. */
  | { readonly does: 'labour'; readonly ms: number }
  /** Cannot load its model: ends at its start. */
  | { readonly does: 'refuse-to-start' }
  /** Works on fewer calls at once, each of which takes so long, ms. */
  | { readonly does: 'narrow'; readonly places: number; readonly runMs: number }
  /** Holds so many MB more each second, up to a bound. */
  | { readonly does: 'hoard'; readonly mbPerSecond: number; readonly mostMb: number }
  /** Makes no token in answers of the engine; answers all else. */
  | { readonly does: 'freeze-core' }
  /** Crashes (SIGSEGV) in a call with the id of a poison request. */
  | { readonly does: 'choke' };

/** Ids of requests which end models begin so; no record has such an id, so that their runs are in no history. */
export const POISON_PREFIX = 'poison-';

/** Name of the control socket in the folder of a run: models connect to it. */
export const CONTROL_SOCKET = 'control.sock';

/** As a model is that nothing is wrong with. */
export const WELL: Behaviour = { does: 'answer' };

/** Fails calls. UNAVAILABLE unless said. */
export function fails(
  form: FailureForm,
  more: Partial<Pick<Failure, 'code' | 'share' | 'turnMs'>> = {},
): Failure {
  return { does: 'fail', code: 14, form, ...more };
}

/** First line of a model to the command. */
export interface Hello {
  /** From 1. */
  readonly replica: number;
  readonly pid: number;
}

/** What the command says to a model: at once after its hello, and with each change. */
export interface Told {
  readonly id: number;
  readonly behaviour: Behaviour;
}

/** What a model says once it behaves so. */
export interface Done {
  readonly done: number;
}

/** Name of a replica in records. @param replica from 1. */
export function replicaName(replica: number): string {
  return `replica-${replica}`;
}
