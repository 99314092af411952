/**
 * From the schema's issues to problems: what was found (read from the file), what was expected, what was perhaps meant.
 */
import type * as z from 'zod';
import { quoted } from '../codecs/parse-result.js';
import { formatPath, type Path, type Problem } from '../problem.js';
import { didYouMean } from '../suggest.js';
import type { YamlDocument } from './yaml-document.js';

type Issue = z.core.$ZodIssue;

const MAX_PROBLEMS = 100;

/** What the problems of a file are told with. */
interface Telling {
  readonly file: string;
  /** The end of the message about an unknown option of the block at `path`, which may be meant as `near` says: where it belongs, or `near`. */
  place(path: Path, option: string, near: string): string;
}

/** In the order of the file. */
export function explain(issues: readonly Issue[], document: YamlDocument, telling: Telling): Problem[] {
  const problems = issues.flatMap((issue) => explainOne(issue, [], document, telling));
  return problems.sort((a, b) => (a.line ?? 0) - (b.line ?? 0)).slice(0, MAX_PROBLEMS);
}

/** A problem with the value at `path`. */
export function problemAt(document: YamlDocument, file: string, path: Path, message: string): Problem {
  return { file, line: document.lineOf(path), path: formatPath(path), message };
}

function explainOne(issue: Issue, above: Path, document: YamlDocument, telling: Telling): Problem[] {
  const { file } = telling;
  const path = [...above, ...(issue.path as Path)];
  const found = valueAt(document.value, path);
  switch (issue.code) {
    case 'custom':
      return [problemAt(document, file, path, issue.message)];
    case 'unrecognized_keys':
      return issue.keys.map((key) => {
        const at = [...path, key];
        const near = didYouMean(key, issue.message.split(', '));
        const hint = telling.place(path, key, near);
        const message = `unknown option; expected one of ${issue.message}${hint}`;
        return { file, line: document.lineOfKey(at), path: formatPath(at), message };
      });
    case 'invalid_key': {
      const inner = issue.issues[0]?.message ?? 'another name';
      const line = document.lineOfKey(path);
      return [{ file, line, path: formatPath(path), message: `found this as a name; expected ${inner}` }];
    }
    case 'invalid_union': {
      const branch = branchFor(found, issue.errors);
      if (branch !== undefined) return branch.flatMap((inner) => explainOne(inner, path, document, telling));
    }
  }
  const hint = hintFor(found, issue, path, document);
  const message = `${describe(found, path, document)}; expected ${issue.message}${hint}`;
  return [problemAt(document, file, path, message)];
}

/** The alternative that was meant: the one for text when text was found, the one for a block when a block was. */
function branchFor(found: unknown, branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  if (typeof found !== 'string' && !isBlock(found)) return undefined;
  return branches.find(
    (issues) => !issues.some((issue) => issue.code === 'invalid_type' && issue.path.length === 0),
  );
}

/** Where a likely slip has a simple cure. */
function hintFor(found: unknown, issue: Issue, path: Path, document: YamlDocument): string {
  if (issue.code === 'invalid_value' && typeof found === 'string')
    return didYouMean(found, issue.values.map(String));
  if (issue.code !== 'invalid_type') return '';
  if (issue.expected === 'string' && (typeof found === 'number' || typeof found === 'boolean')) {
    const inQuotes = `; if this is a text, put it in quotes: "${document.sourceOf(path) ?? found}"`;
    return unitHint(found, issue.message) ?? inQuotes;
  }
  if (issue.expected === 'array' && typeof found === 'string') return `; did you mean [${found}]?`;
  if (found === null && (issue.expected === 'object' || issue.expected === 'record'))
    return '; for all defaults, write {}';
  if (issue.expected === 'object' && typeof found === 'string' && issue.message.includes('{ kind: '))
    return `; did you mean { kind: ${found} }?`;
  return '';
}

/** For a bare number where a unit or a host is missing. */
function unitHint(found: number | boolean, expected: string): string | undefined {
  if (typeof found !== 'number' || !Number.isSafeInteger(found) || found < 0) return undefined;
  if (expected.startsWith('a duration')) return `; did you mean "${found}ms" or "${found}s"?`;
  if (expected.startsWith('a size')) return `; did you mean "${found}B" or "${found}MiB"?`;
  if (expected.startsWith('an address') && found <= 65_535) return `; did you mean "127.0.0.1:${found}"?`;
  return undefined;
}

function describe(found: unknown, path: Path, document: YamlDocument): string {
  if (found === undefined) return 'missing';
  if (found === null) return 'found nothing';
  if (typeof found === 'string') return `found ${quoted(found)}`;
  if (Array.isArray(found)) return found.length === 0 ? 'found an empty list' : 'found a list';
  if (isBlock(found)) return Object.keys(found).length === 0 ? 'found an empty block' : 'found a block';
  return `found ${document.sourceOf(path) ?? String(found)}`;
}

function isBlock(found: unknown): found is Record<string, unknown> {
  return typeof found === 'object' && found !== null && !Array.isArray(found);
}

function valueAt(root: unknown, path: Path): unknown {
  let found = root;
  for (const step of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, step)) return undefined;
    found = (found as Record<string | number, unknown>)[step];
  }
  return found;
}
