/**
 * What is wrong with a file: where, and in one sentence what was found, what was expected and what was perhaps meant.
 */

export interface Problem {
  readonly file: string;
  /** From 1. Absent when the file as a whole is the problem. */
  readonly line?: number;
  /** `path.to[0].field`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
}

/** Names of options and numbers of list items, from the top of a file. */
export type Path = readonly (string | number)[];

/** A problem that has no place in a file's lines yet. */
export interface Warning {
  readonly path: Path;
  readonly message: string;
}

/** One line each: `FILE:LINE: path.to[0].field: message`. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems.map(formatProblem).join('\n');
}

/** `FILE:LINE: path.to[0].field: message`. */
export function formatProblem(problem: Problem): string {
  const place = problem.line === undefined ? problem.file : `${problem.file}:${problem.line}`;
  return problem.path === ''
    ? `${place}: ${problem.message}`
    : `${place}: ${problem.path}: ${problem.message}`;
}

/** Names that are not plain words are quoted, so that a control character or a dot in a key cannot mislead. */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[A-Za-z0-9_-]+$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}
