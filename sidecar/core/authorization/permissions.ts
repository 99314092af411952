/**
 * What of a service a caller may use: Consul's L7 permissions (1.9 and later), written to the documentation of its
 * `service-intentions`. The first permission that matches a call decides it; the default decides what none matches. The
 * path of a gRPC call is `/package.Service/Method`, its method always POST.
 *
 * Headers are compared as Envoy's `config.route.v3.HeaderMatcher` documents it (decision 43 has the table), and where
 * that would let a caller walk around a rule, the narrower reading holds: an allow matches only what certainly does, a
 * deny also what cannot be told. That is so for expressions that the compiler passed in does not take, for a header that comes several
 * times (an allow must hold for each value and, as in Envoy before 1.40, for all of them joined by commas; a deny for
 * any), and for an inverted deny of a header that is absent, which in Envoy does not match.
 */
import type { CompilePattern } from '../routing/route-match.js';

export type Action = 'allow' | 'deny';

export interface Permission {
  readonly action: Action;
  /** Whole path. At most one of the three; with none, every path. */
  readonly pathExact?: string;
  readonly pathPrefix?: string;
  /** RE2; must match the whole path. */
  readonly pathRegex?: string;
  /** HTTP methods; empty: all. */
  readonly methods?: readonly string[];
  /** All must match. */
  readonly headers?: readonly HeaderCondition[];
  /** It asks for what we do not know (a newer Consul's): cannot be told. */
  readonly isForeign?: boolean;
}

export interface HeaderCondition {
  /** Of any case. */
  readonly name: string;
  readonly kind: 'present' | 'exact' | 'prefix' | 'suffix' | 'contains' | 'regex';
  /** What is compared with; RE2 for `regex`, which must match the whole value. Of no account for `present`. */
  readonly value: string;
  readonly invert: boolean;
  /** Without effect on `regex`: Envoy refuses the two together. */
  readonly ignoreCase: boolean;
}

/** A call as far as permissions look at it. */
export interface CallFacts {
  readonly method: string;
  readonly path: string;
  /** Every value of a header, in order; the name in lower case. */
  headers(name: string): readonly string[];
}

/** Undefined: it cannot be told. */
type Told = boolean | undefined;

/** What gRPC calls: everything else is refused wherever paths matter, so that no other spelling walks around a rule. */
const GRPC_PATH = /^\/\w+(?:\.\w+)*\/\w+$/;

export class PermissionList {
  private readonly rules: readonly Rule[];

  /**
   * @param otherwise for calls that none matches
   * @param compile for expressions of RE2
   */
  constructor(
    permissions: readonly Permission[],
    private readonly otherwise: Action,
    compile: CompilePattern,
  ) {
    this.rules = permissions.map((permission) => new Rule(permission, compile));
  }

  decide(call: CallFacts): Action {
    if (!GRPC_PATH.test(call.path)) return 'deny';
    for (const rule of this.rules) if (rule.matches(call)) return rule.action;
    return this.otherwise;
  }
}

class Rule {
  readonly action: Action;
  private readonly path: (path: string) => Told;
  private readonly methods: ReadonlySet<string> | undefined;
  private readonly headers: readonly HeaderRule[];

  constructor(
    private readonly permission: Permission,
    compile: CompilePattern,
  ) {
    this.action = permission.action;
    this.path = pathTest(permission, compile);
    const { methods = [], headers = [] } = permission;
    this.methods = methods.length === 0 ? undefined : new Set(methods.map((each) => each.toUpperCase()));
    this.headers = headers.map((header) => new HeaderRule(header, permission.action, compile));
  }

  matches(call: CallFacts): boolean {
    const inDoubt = this.action === 'deny';
    if (this.methods !== undefined && !this.methods.has(call.method)) return false;
    if (!(this.path(call.path) ?? inDoubt)) return false;
    for (const header of this.headers) if (!header.matches(call)) return false;
    return this.permission.isForeign !== true || inDoubt;
  }
}

function pathTest(
  { pathExact, pathPrefix, pathRegex }: Permission,
  compile: CompilePattern,
): (path: string) => Told {
  if (pathExact !== undefined) return (path) => path === pathExact;
  if (pathPrefix !== undefined) return (path) => path.startsWith(pathPrefix);
  if (pathRegex !== undefined) return regexTest(pathRegex, compile);
  return () => true;
}

function regexTest(source: string, compile: CompilePattern): (text: string) => Told {
  const pattern = compile(source);
  return 'fault' in pattern ? () => undefined : (text) => pattern.test(text);
}

class HeaderRule {
  private readonly name: string;
  private readonly test: (value: string) => Told;

  constructor(
    private readonly match: HeaderCondition,
    private readonly action: Action,
    compile: CompilePattern,
  ) {
    this.name = match.name.toLowerCase();
    this.test = valueTest(match, compile);
  }

  matches(call: CallFacts): boolean {
    const values = call.headers(this.name);
    const { kind, invert } = this.match;
    if (kind === 'present') return values.length > 0 !== invert;
    // Envoy finds no inverted match in a header that is not there; a deny must not be walked around that way.
    if (values.length === 0) return invert && this.action === 'deny';
    const all = values.length === 1 ? values : [...values, values.join(',')];
    return this.action === 'deny'
      ? all.some((value) => this.told(value) ?? true)
      : all.every((value) => this.told(value) ?? false);
  }

  private told(value: string): Told {
    const told = this.test(value);
    return told === undefined ? undefined : told !== this.match.invert;
  }
}

function valueTest(
  { kind, value, ignoreCase }: HeaderCondition,
  compile: CompilePattern,
): (value: string) => Told {
  if (kind === 'regex') return regexTest(value, compile);
  const fold = (text: string): string => (ignoreCase ? text.toLowerCase() : text);
  const want = fold(value);
  switch (kind) {
    case 'exact':
      return (text) => fold(text) === want;
    case 'prefix':
      return (text) => fold(text).startsWith(want);
    case 'suffix':
      return (text) => fold(text).endsWith(want);
    case 'contains':
      return (text) => fold(text).includes(want);
    case 'present':
      return () => true;
  }
}

/** What of the permissions cannot be held to as written, one sentence each; for the log, once. */
export function unsupported(permissions: readonly Permission[], compile: CompilePattern): string[] {
  const found: string[] = [];
  permissions.forEach((permission, i) => {
    const say = (what: string): void => {
      const instead = permission.action === 'deny' ? 'denies whatever else it matches' : 'allows nothing';
      found.push(`permission ${i + 1}: ${what}; it ${instead}`);
    };
    if (permission.action === 'deny')
      for (const { name, kind, invert } of permission.headers ?? [])
        if (invert && kind !== 'present')
          found.push(
            `permission ${i + 1}: it also denies calls without the header ${JSON.stringify(name)}, which Envoy lets pass`,
          );
    if (permission.isForeign) say('asks for what is not known here');
    const patterns = [
      ['PathRegex', permission.pathRegex],
      ...(permission.headers ?? []).map(({ kind, name, value }) => [
        `Regex of header ${JSON.stringify(name)}`,
        kind === 'regex' ? value : undefined,
      ]),
    ] as const;
    for (const [what, pattern] of patterns) {
      if (pattern === undefined) continue;
      const compiled = compile(pattern);
      if ('fault' in compiled) say(`${what} has ${compiled.fault}`);
    }
  });
  return found;
}
