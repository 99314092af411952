/** The rules about comments: what an export needs above it, and which words a sentence does without. */

const EXPORTED = /^export (?:abstract |async )?(class|function\*?) (\w+)/;

/** Exported classes and functions without a docstring directly above them, as `PATH:LINE: class NAME …`. Overloads share the first one's. */
export function withoutDocstring(path: string, source: string): string[] {
  const lines = source.split('\n');
  return lines.flatMap((line, i) => {
    const [, kind, name] = EXPORTED.exec(line) ?? [];
    if (name === undefined || lines[i - 1]?.trimEnd().endsWith('*/')) return [];
    if (lines[i - 1]?.startsWith(`export function ${name}`)) return [];
    return [`${path}:${i + 1}: ${kind} ${name} has no docstring directly above it`];
  });
}

/** Sentences are about things: an endpoint, a caller, a call; these words hide which. */
const VAGUE =
  /(?<![\w-])(?:who|whom|whoever|nobody|somebody|someone|anybody|anyone|everybody|everyone)(?![\w-])/i;

/** Lines with a vague subject, as `PATH:LINE: says "WORD"; name the thing`. */
export function vagueSubjects(path: string, text: string): string[] {
  return text.split('\n').flatMap((line, i) => {
    const [word] = VAGUE.exec(line) ?? [];
    return word === undefined ? [] : [`${path}:${i + 1}: says "${word}"; name the thing`];
  });
}
