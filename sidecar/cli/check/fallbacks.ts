/** Upstreams that fail, and whose calls all have a fallback that takes them: that is what it is for, so that they are warnings. */
import type { Finding } from './finding.js';
import type { Call } from './subject.js';

/** Findings about a call, by its caller and its upstream. */
export function aboutCall(from: string, to: string, findings: readonly Finding[]): Finding[] {
  return findings.map((each) => ({ ...each, call: callName(from, to) }));
}

/**
 * All findings, with failures of upstreams as warnings where each route falls back to an upstream that is reached and has no failure. Calls of a
 * route without a fallback fail. A call that is not allowed stays a failure: nothing stands in for it.
 *
 * @param reached calls that running sidecars could make.
 */
export function withFallbacks(
  findings: readonly Finding[],
  calls: readonly Call[],
  reached: readonly Pick<Call, 'from' | 'to'>[],
): Finding[] {
  const fallbacks = new Map(
    calls.map(({ from, to, fallbacks: routes = [] }) => [
      callName(from, to),
      routes.map((route) => route.map((each) => ({ to: each, name: callName(from, each) }))),
    ]),
  );
  const found = new Set([
    ...findings.map(({ call }) => call),
    ...reached.map(({ from, to }) => callName(from, to)),
  ]);
  const failing = new Set(findings.flatMap(({ level, call }) => (level === 'failed' ? [call] : [])));
  return findings.map(({ call = '', ...finding }) => {
    const routes = fallbacks.get(call) ?? [];
    if (finding.level !== 'failed' || finding.area !== 'upstream' || routes.length === 0) return finding;
    const stands = routes.map((route) => route.find(({ name }) => found.has(name) && !failing.has(name))?.to);
    if (stands.includes(undefined)) return finding;
    const names = [...new Set(stands)].join(', ');
    return { ...finding, level: 'warning', what: `${finding.what}; its calls fall back to ${names}` };
  });
}

function callName(from: string, to: string): string {
  return `${from} ${to}`;
}
