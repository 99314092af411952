/**
 * The problems and warnings of a piece of YAML, as the lines a person would read, without the file's name.
 */
import assert from 'node:assert/strict';
import { type ParseResult, parseMeshFile, parseSidecarFile } from '../../../sidecar/config/file/parse.js';
import type { MeshConfig, SidecarConfig } from '../../../sidecar/config/model.js';
import { formatProblems } from '../../../sidecar/config/problem.js';

const FILE = '/etc/mesh/file.yaml';

export function sidecarProblems(text: string): string[] {
  return problemsIn(parseSidecarFile(text, FILE));
}

export function meshProblems(text: string): string[] {
  return problemsIn(parseMeshFile(text, FILE));
}

export function sidecarConfig(text: string): SidecarConfig {
  return accepted(parseSidecarFile(text, FILE)).config;
}

export function meshConfig(text: string): MeshConfig {
  return accepted(parseMeshFile(text, FILE)).config;
}

export function sidecarWarnings(text: string): string[] {
  return lines(accepted(parseSidecarFile(text, FILE)).warnings);
}

export function meshWarnings(text: string): string[] {
  return lines(accepted(parseMeshFile(text, FILE)).warnings);
}

/** `because` declares the test of a refused text; `also` goes on with the next. */
interface Refused {
  because(problem: RegExp): { readonly also: (what: string, text: string) => Refused };
}

/** Declares tests of texts with exactly one problem each: `refused('no method', '{…}').because(/methods: found/)`. */
export function refusing(problemsOf: (text: string) => string[], before = 'refuses ', after = '') {
  const also = (what: string, text: string): Refused => ({
    because: (problem) => {
      it(`${before}${what}${after}`, () => {
        const problems = problemsOf(text);
        assert.equal(problems.length, 1, problems.join('\n'));
        assert.match(problems[0]!, problem);
      });
      return { also };
    },
  });
  return also;
}

/** Problems of a sidecar file with this upstream block, and lines that begin below it. */
export function upstreamProblems(block: string): string[] {
  const all = sidecarProblems(`${IDENTITY}\noutbound: {upstreams: {u: ${block}}}`);
  return all.map((line) => line.replace(/^\d+: outbound\.upstreams\.u\.?/, ''));
}

/** A complete upstream but for what `more` says. */
export function upstreamWith(more: string): string {
  return `{listen: "127.0.0.1:1", endpoints: ["10.0.0.1:1"], ${more}}`;
}

/** What a file means that says nothing of the model process. */
export const MODEL_PROCESS = {
  env: {},
  inherit: [],
  startTimeoutMs: 60_000,
  notServingTimeoutMs: 20_000,
  longestRunMs: 300_000,
  restart: { baseMs: 100, maxMs: 30_000, limit: { starts: 5, withinMs: 60_000 }, retryAfterMs: 300_000 },
  stopTimeoutMs: 10_000,
};

export const IDENTITY = 'service: s\nidentity: {cert: c, key: k, roots: r}';

function problemsIn(result: ParseResult<unknown>): string[] {
  assert.ok(!result.ok, 'was accepted');
  return lines(result.problems);
}

function accepted<T>(result: ParseResult<T>): {
  readonly config: T;
  readonly warnings: Parameters<typeof lines>[0];
} {
  assert.ok(result.ok, result.ok ? '' : formatProblems(result.problems));
  return result;
}

function lines(problems: Parameters<typeof formatProblems>[0]): string[] {
  if (problems.length === 0) return [];
  return formatProblems(problems)
    .split('\n')
    .map((line) => line.replace(`${FILE}:`, ''));
}
