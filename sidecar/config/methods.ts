/**
 * What the configuration knows of method patterns beyond their form (which core/routing/method.ts decides): which pattern leaves
 * nothing for another.
 */

/** True when every method that `pattern` matches is also matched by `by`. */
export function isCovered(pattern: string, by: string): boolean {
  if (by === '*' || by === pattern) return true;
  return by.endsWith('/*') && pattern.startsWith(by.slice(0, -1));
}
