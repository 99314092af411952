import { GRPC_PATH } from '../routing/method.js';
import type { CompilePattern } from '../routing/route-match.js';

/** What a rule does with a call. */
export type Action = 'allow' | 'deny';

/** One permission; all of its conditions must hold. */
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
  /** It has conditions of a newer Consul, which cannot be evaluated. */
  readonly isForeign?: boolean;
}

/** A condition on one header of a call (Consul: `HTTP.Header` of a permission). */
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

/** Whether a condition holds; undefined: it cannot be evaluated. */
type Match = boolean | undefined;
type Test = (text: string) => Match;
type CallTest = (call: CallFacts) => boolean;

/**
 * L7 permissions of an intention (Consul 1.9 and later, `service-intentions`): the first permission that matches a call decides,
 * else the default action. The path of a gRPC call is `/package.Service/Method`, its method always POST.
 *
 * Headers are compared as by Envoy's `config.route.v3.HeaderMatcher` (decision 43 has the table). Where that would let a caller
 * get around a rule, the narrower reading applies: an allow matches only what certainly does, a deny also what cannot be
 * evaluated. So for expressions that the compiler refuses; for a header with several values (an allow must hold for each and, as
 * in Envoy before 1.40, for all joined by commas; a deny for any); and for an inverted deny of a header that is absent, which
 * in Envoy does not match.
 */
export class PermissionList {
  private readonly rules: readonly Rule[];

  /**
   * @param defaultAction for calls that none matches
   * @param compile for expressions of RE2
   */
  constructor(
    permissions: readonly Permission[],
    private readonly defaultAction: Action,
    compile: CompilePattern,
  ) {
    this.rules = permissions.map((permission) => new Rule(permission, compile));
  }

  decide(call: CallFacts): Action {
    // Any other path is denied where paths matter, so that no other spelling gets around a rule.
    if (!GRPC_PATH.test(call.path)) return 'deny';
    for (const rule of this.rules) if (rule.matches(call)) return rule.action;
    return this.defaultAction;
  }

  /**
   * The same for a method that a rule has to name (MODEL_CONTROL_METHODS): an allow for any path, or for all methods of a service,
   * does not, and neither does the default action.
   */
  allowsByName(call: CallFacts): boolean {
    const rule = this.rules.find((each) => each.matches(call));
    return rule?.action === 'allow' && rule.names(call.path);
  }
}

class Rule {
  readonly action: Action;
  private readonly path: Test;
  private readonly methods: ReadonlySet<string> | undefined;
  private readonly headers: readonly CallTest[];

  constructor(
    private readonly permission: Permission,
    compile: CompilePattern,
  ) {
    this.action = permission.action;
    this.path = pathTest(permission, compile);
    const { methods = [], headers = [] } = permission;
    this.methods = methods.length === 0 ? undefined : new Set(methods.map((each) => each.toUpperCase()));
    this.headers = headers.map((header) => headerTest(header, permission.action, compile));
  }

  /** Whether its path has the name of the method, as a whole: an exact path, or an expression such as `/pkg.Svc/(Load|Unload)`. */
  names(path: string): boolean {
    const { pathExact = '', pathPrefix = '', pathRegex = '' } = this.permission;
    return (pathExact + pathPrefix + pathRegex).includes(path.slice(path.lastIndexOf('/') + 1));
  }

  matches(call: CallFacts): boolean {
    const inDoubt = this.action === 'deny';
    if (this.methods !== undefined && !this.methods.has(call.method)) return false;
    if (!(this.path(call.path) ?? inDoubt)) return false;
    for (const matches of this.headers) if (!matches(call)) return false;
    return this.permission.isForeign !== true || inDoubt;
  }
}

function pathTest({ pathExact, pathPrefix, pathRegex }: Permission, compile: CompilePattern): Test {
  if (pathExact !== undefined) return (path) => path === pathExact;
  if (pathPrefix !== undefined) return (path) => path.startsWith(pathPrefix);
  if (pathRegex !== undefined) return regexTest(pathRegex, compile);
  return () => true;
}

function regexTest(source: string, compile: CompilePattern): Test {
  const pattern = compile(source);
  return 'fault' in pattern ? () => undefined : (text) => pattern.test(text);
}

function headerTest(match: HeaderCondition, action: Action, compile: CompilePattern): CallTest {
  const { kind, invert } = match;
  const name = match.name.toLowerCase();
  const isDeny = action === 'deny';
  const test = valueTest(match, compile);
  const matchesValue = (value: string): boolean => {
    const matched = test(value);
    return matched === undefined ? isDeny : matched !== invert;
  };
  return (call) => {
    const values = call.headers(name);
    if (kind === 'present') return values.length > 0 !== invert;
    // Envoy finds no inverted match in a header that is absent; a deny must not be avoided that way.
    if (values.length === 0) return invert && isDeny;
    const all = values.length === 1 ? values : [...values, values.join(',')];
    return isDeny ? all.some(matchesValue) : all.every(matchesValue);
  };
}

function valueTest({ kind, value, ignoreCase }: HeaderCondition, compile: CompilePattern): Test {
  if (kind === 'regex') return regexTest(value, compile);
  const fold = (text: string): string => (ignoreCase ? text.toLowerCase() : text);
  const want = fold(value);
  const tests: Record<typeof kind, Test> = {
    exact: (text) => fold(text) === want,
    prefix: (text) => fold(text).startsWith(want),
    suffix: (text) => fold(text).endsWith(want),
    contains: (text) => fold(text).includes(want),
    present: () => true,
  };
  return tests[kind];
}

/** Parts of the permissions that cannot be applied as written, one sentence each; for the log. */
export function unsupported(permissions: readonly Permission[], compile: CompilePattern): string[] {
  const found: string[] = [];
  permissions.forEach((permission, i) => {
    const say = (what: string): void => {
      const instead = permission.action === 'deny' ? 'denies whatever else it matches' : 'allows nothing';
      found.push(`permission ${i + 1}: ${what}; it ${instead}`);
    };
    const sayPattern = (what: string, pattern: string): void => {
      const compiled = compile(pattern);
      if ('fault' in compiled) say(`${what} has ${compiled.fault}`);
    };
    const { action, headers = [], pathRegex } = permission;
    for (const { name, kind, invert } of action === 'deny' ? headers : []) {
      const what = `it also denies calls without the header ${JSON.stringify(name)}, which Envoy lets pass`;
      if (invert && kind !== 'present') found.push(`permission ${i + 1}: ${what}`);
    }
    if (permission.isForeign) say('asks for what is not known here');
    if (pathRegex !== undefined) sayPattern('PathRegex', pathRegex);
    for (const { kind, name, value } of headers)
      if (kind === 'regex') sayPattern(`Regex of header ${JSON.stringify(name)}`, value);
  });
  return found;
}
