/** Beside a verdict that everything was kept, for a reader who sees below it that calls have failed. */
export const WHAT_IS_KEPT =
  'An invariant is a promise about each call: it is answered once, by its deadline, to the right caller, and executed once at most unless that is safe. A call that ends with an error in time breaks none; the table counts such calls.';
