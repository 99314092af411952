import type { CompilePattern } from '../routing/route-match.js';
import { ModelGrant } from './model-grant.js';
import { type Action, type CallFacts, type Permission, PermissionList } from './permissions.js';

export type { Action };

/** An intention of Consul. */
export interface Intention {
  /** A mesh service, or `*` for all. */
  readonly from: string;
  readonly to: string;
  /** Ignored where there are permissions. */
  readonly action: Action;
  readonly permissions?: readonly Permission[];
  /** With `allow`: calls that name one of these models, and no others. From a file; Consul has no such thing. */
  readonly models?: readonly string[] | undefined;
  /** With `allow`: paths of MODEL_CONTROL_METHODS that the caller may call too. From a file; Consul has permissions for it. */
  readonly controlMethods?: readonly string[] | undefined;
}

/** An action for all calls of a caller, permissions to apply to each call, or the models that it may call. */
export type AuthorizationDecision = Action | PermissionList | ModelGrant;

/** Options of an `IntentionTable`. */
export interface TableOptions {
  /** False: the intentions are not known yet, and the table denies everything. Default true. */
  readonly isLoaded?: boolean;
  /** For expressions in permissions. Default: none is taken, so an allow with one allows nothing. */
  readonly compile?: CompilePattern;
}

const TAKES_NONE: CompilePattern = () => ({ fault: 'no compiler' });

const ANY = '*';

/**
 * The intentions in force at one time, immutable; compiled once, then two look-ups per decision. The most specific intention
 * decides, a named destination before a named source (Consul's precedence: 9 exact → exact, 8 * → exact, 6 exact → *, 5 * → *); deny
 * wins between equals, and the default action applies where none matches. An intention with permissions decides call by call;
 * a call that none of them matches gets the default action, not the next intention.
 */
export class IntentionTable {
  /** By destination, `*` included; then by source, `*` included. */
  private readonly decisions = new Map<string, Map<string, AuthorizationDecision>>();
  /** Named beside a plain allow, by destination; then by source. */
  private readonly controlMethods = new Map<string, Map<string, ReadonlySet<string>>>();
  private readonly anyDestination: ReadonlyMap<string, AuthorizationDecision> | undefined;
  readonly isLoaded: boolean;
  /** An intention allows some models only: calls are read for the model that they name. */
  readonly hasModels: boolean;

  /**
   * @param version grows with every new table; cached decisions are valid for their version.
   * @throws RangeError for a name that is empty or has `*` as a part: read literally it would match nothing, and
   * a deny would have no effect.
   */
  constructor(
    intentions: readonly Intention[],
    readonly defaultAction: Action,
    readonly version: number,
    options: TableOptions = {},
  ) {
    this.isLoaded = options.isLoaded ?? true;
    this.hasModels = intentions.some(({ models }) => models !== undefined);
    const { compile = TAKES_NONE } = options;
    for (const { from, to, action, permissions, models, controlMethods } of intentions) {
      checkName(from);
      checkName(to);
      if (controlMethods !== undefined) this.addControl(from, to, controlMethods);
      let bySource = this.decisions.get(to);
      if (bySource === undefined) {
        bySource = new Map();
        this.decisions.set(to, bySource);
      }
      const before = bySource.get(from);
      if (models !== undefined && action === 'allow') {
        // The narrower one of two for the same pair decides, as with permissions.
        if (before === undefined || before === 'allow') bySource.set(from, new ModelGrant(models));
        else if (before instanceof ModelGrant) bySource.set(from, before.with(models));
        continue;
      }
      if (before instanceof ModelGrant && action === 'allow') continue;
      if (before === 'deny' || (before instanceof PermissionList && action === 'allow')) continue;
      bySource.set(from, permissions ? new PermissionList(permissions, defaultAction, compile) : action);
    }
    this.anyDestination = this.decisions.get(ANY);
  }

  /** A table that is not loaded: denies everything. */
  static notLoaded(version: number): IntentionTable {
    return new IntentionTable([], 'deny', version, { isLoaded: false });
  }

  /** Whether `source` may call `destination`, whatever the call: as for Consul, permissions are a deny, and so are models. An empty source is a caller without identity: only `*` and the default speak of it. */
  allows(source: string, destination: string): boolean {
    return this.decisionFor(source, destination) === 'allow';
  }

  /** The decision of the intention that names both most exactly: destination before source, a name before `*` (Consul's precedence). */
  decisionFor(source: string, destination: string): AuthorizationDecision {
    const exact = this.decisions.get(destination);
    return (
      exact?.get(source) ??
      exact?.get(ANY) ??
      this.anyDestination?.get(source) ??
      this.anyDestination?.get(ANY) ??
      this.defaultAction
    );
  }

  /**
   * Whether `source` may make this call of one of MODEL_CONTROL_METHODS to `destination`: the intention that decides has to name the
   * method. A plain allow does not, and neither does the default action.
   */
  allowsControl(source: string, destination: string, call: CallFacts): boolean {
    for (const to of [destination, ANY])
      for (const from of [source, ANY]) {
        const decision = this.decisions.get(to)?.get(from);
        if (decision === undefined) continue;
        if (decision instanceof PermissionList) return decision.allowsByName(call);
        return decision === 'allow' && this.controlMethods.get(to)?.get(from)?.has(call.path) === true;
      }
    return false;
  }

  private addControl(from: string, to: string, methods: readonly string[]): void {
    const bySource = this.controlMethods.get(to) ?? new Map<string, ReadonlySet<string>>();
    this.controlMethods.set(to, bySource.set(from, new Set([...(bySource.get(from) ?? []), ...methods])));
  }

  /** The intention that decides, for logs and answers, without its permissions; undefined when the default does. */
  explain(source: string, destination: string): Intention | undefined {
    for (const to of [destination, ANY])
      for (const from of [source, ANY]) {
        const decision = this.decisions.get(to)?.get(from);
        if (decision === undefined) continue;
        const isAllowed = decision === 'allow' || decision instanceof ModelGrant;
        return { from, to, action: isAllowed ? 'allow' : 'deny' };
      }
    return undefined;
  }
}

function checkName(name: string): void {
  if (name === '' || (name !== ANY && name.includes(ANY)))
    throw new RangeError(`an intention names a service or "*", not "${name}"`);
}
