/** What reading one value of a file gives: the value, or one sentence with what was found and what was expected. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string };

/** A value that was read. */
export const ok = <T>(value: T): Parsed<T> => ({ ok: true, value });

/** One that could not be. */
export const invalid = (problem: string): { readonly ok: false; readonly problem: string } => ({
  ok: false,
  problem,
});

/** A value as it is shown inside a sentence, in double quotes; one of more than 80 characters is cut. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
