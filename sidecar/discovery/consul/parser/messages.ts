import type { PlaceKeys } from './instances.js';

/** What the main thread sends. A slice is asked for, so that the main thread sets the pace. */
export type ToWorker =
  | {
      readonly kind: 'parse';
      /** Counted on through the life of the pool, whichever thread it goes to. */
      readonly job: number;
      /** One query. The worker remembers its last list, to send only what has changed. */
      readonly stream: number;
      /** The job that brought the list that the main thread has; 0: none. */
      readonly base: number;
      readonly wan: boolean;
      readonly placeKeys?: PlaceKeys | undefined;
      readonly body: Uint8Array;
    }
  | { readonly kind: 'next'; readonly job: number }
  | { readonly kind: 'forget'; readonly stream: number };

/** What the parse worker answers. */
export type FromWorker =
  | {
      readonly kind: 'parsed';
      /** Also the `base` for the next. */
      readonly job: number;
      /** For each instance its place in the base, or -1 where it is new or changed. */
      readonly from: Int32Array;
      /** How many are -1: they follow in slices, in this order. */
      readonly fresh: number;
      readonly skipped: number;
      readonly problem: string | undefined;
    }
  /** A JSON array of instances. */
  | { readonly kind: 'slice'; readonly job: number; readonly text: string }
  | { readonly kind: 'failed'; readonly job: number; readonly message: string };
