/**
 * Who may call whom. Consul's rules: the most specific intention decides, a named destination before a named
 * source (precedence 9 exact → exact, 8 * → exact, 6 exact → *, 5 * → *), deny wins where two are equal, and the
 * default speaks when none matches. Compiled once, then two look-ups for each decision.
 */

export interface Intention {
  /** A mesh service, or `*` for all. */
  readonly source: string;
  readonly destination: string;
  readonly action: 'allow' | 'deny';
}

export type Action = Intention['action'];

const ANY = '*';

/** The intentions in force at one time, immutable. */
export class IntentionTable {
  /** By destination, `*` included; then by source, `*` included. */
  private readonly actions = new Map<string, Map<string, Action>>();
  private readonly anyDestination: ReadonlyMap<string, Action> | undefined;

  /**
   * @param version grows with every new table; verdicts kept elsewhere are good for the version they were made under.
   * @throws RangeError for a name that is empty or has `*` as a part: read literally it would match nothing, and
   * a deny would silently not hold.
   */
  constructor(
    intentions: readonly Intention[],
    readonly defaultAction: Action,
    readonly version: number,
  ) {
    for (const { source, destination, action } of intentions) {
      checkName(source);
      checkName(destination);
      let bySource = this.actions.get(destination);
      if (bySource === undefined) {
        bySource = new Map();
        this.actions.set(destination, bySource);
      }
      if (bySource.get(source) !== 'deny') bySource.set(source, action);
    }
    this.anyDestination = this.actions.get(ANY);
  }

  /** Whether `source` may call `destination`. An empty source is a caller without identity: only `*` and the default speak of it. */
  allows(source: string, destination: string): boolean {
    return this.decide(source, destination) === 'allow';
  }

  decide(source: string, destination: string): Action {
    const exact = this.actions.get(destination);
    return (
      exact?.get(source) ??
      exact?.get(ANY) ??
      this.anyDestination?.get(source) ??
      this.anyDestination?.get(ANY) ??
      this.defaultAction
    );
  }

  /** The intention that decides, for logs and answers; undefined when the default does. */
  explain(source: string, destination: string): Intention | undefined {
    for (const to of [destination, ANY]) {
      for (const from of [source, ANY]) {
        const action = this.actions.get(to)?.get(from);
        if (action !== undefined) return { source: from, destination: to, action };
      }
    }
    return undefined;
  }
}

function checkName(name: string): void {
  if (name === '' || (name !== ANY && name.includes(ANY))) {
    throw new RangeError(`an intention names a service or "*", not "${name}"`);
  }
}
