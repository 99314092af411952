/** The result of `fn`, or `otherwise` when it throws: for what may be missing, and says nothing by that. */
export function attempt<T>(fn: () => T, otherwise: T): T {
  try {
    return fn();
  } catch {
    return otherwise;
  }
}
