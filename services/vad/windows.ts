/** Samples of 16 kHz audio in the pieces that the network takes, however they arrive. */

/** Samples of a window: 32 ms. */
export const WINDOW = 512;
/** Samples before a window that the network sees again. */
export const CONTEXT = 64;

/** What is kept between two pieces of one recording. */
export interface Remainder {
  /** The last samples of the window before; zeros at the beginning. */
  readonly context: Float32Array;
  /** Samples that do not fill a window yet. */
  readonly rest: Float32Array;
  /** Number of the sample that `rest` begins with, from 0. */
  readonly start: number;
}

/** Before the first sample. */
export const BEGINNING: Remainder = {
  context: new Float32Array(CONTEXT),
  rest: new Float32Array(0),
  start: 0,
};

/** Windows with their context, CONTEXT + WINDOW samples each, and what is left. */
export interface Cut {
  readonly windows: readonly Float32Array[];
  readonly after: Remainder;
}

/**
 * Cuts what was left and what has come into windows.
 *
 * @param isLast nothing comes after: samples that do not fill a window are filled up with silence.
 */
export function cutWindows(
  before: Remainder,
  audio: Float32Array,
  { isLast }: { readonly isLast: boolean },
): Cut {
  const held = before.rest.length + audio.length;
  const count = isLast ? Math.ceil(held / WINDOW) : Math.floor(held / WINDOW);
  // Context, rest and audio in one row: each window is a view that begins with the end of the one before.
  const row = new Float32Array(CONTEXT + Math.max(held, count * WINDOW));
  row.set(before.context);
  row.set(before.rest, CONTEXT);
  row.set(audio, CONTEXT + before.rest.length);
  const windows = Array.from({ length: count }, (_, i) =>
    row.subarray(i * WINDOW, i * WINDOW + CONTEXT + WINDOW),
  );
  const end = count * WINDOW;
  return {
    windows,
    after: {
      context: row.slice(end, end + CONTEXT),
      rest: row.slice(CONTEXT + end),
      start: before.start + end,
    },
  };
}
