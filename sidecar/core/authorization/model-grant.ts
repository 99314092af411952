/**
 * What an intention with `models` allows: calls that name one of these models in their request. Every other call that may be
 * about a model is refused, also one whose model cannot be read.
 */
export class ModelGrant {
  private readonly models: ReadonlySet<string>;

  constructor(models: Iterable<string>) {
    this.models = new Set(models);
  }

  /** @param model as the request names it; empty: it names none. */
  permits(model: string): boolean {
    return this.models.has(model);
  }

  /** What this one or the other allows: two intentions for the same pair add up. */
  with(models: Iterable<string>): ModelGrant {
    return new ModelGrant([...this.models, ...models]);
  }
}
