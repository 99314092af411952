/**
 * The result of reading one spelled value: the value, or one sentence that says what was found and what was expected.
 */
export type Spelled<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string };

export const spelled = <T>(value: T): Spelled<T> => ({ ok: true, value });

export const misspelled = (problem: string): { readonly ok: false; readonly problem: string } => ({
  ok: false,
  problem,
});

/** A value as it is shown inside a sentence; long ones are cut. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
