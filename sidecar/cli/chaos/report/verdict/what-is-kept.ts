/** Beside a verdict that everything was kept, for a reader who sees below it that calls have failed. */
export const WHAT_IS_KEPT =
  'An invariant is a rule that no call may break: it gets one response, by its deadline, for the right caller, and runs twice only if that is safe. An error in time breaks no invariant; the table counts it as failed.';
