/** Models of an upstream whose ends are remembered, and ends of each: a model has a handful. */
const MOST_MODELS = 8;
const MOST_ENDS = 16;

/**
 * The tokens by which the models of an upstream end answers, learned from answers that ended. No message of Generate says them. An engine that
 * died behind such a token, and before it said so, had made the whole answer.
 */
export class EndTokens {
  /** By model: the tokens, and whether its engines name them as what ended an answer. */
  private readonly models = new Map<string, Map<number, boolean>>();

  learn(model: string, token: number, isNamed: boolean): void {
    let ends = this.models.get(model);
    if (ends === undefined) {
      if (this.models.size >= MOST_MODELS) this.models.delete(this.models.keys().next().value!);
      ends = new Map();
      this.models.set(model, ends);
    }
    if (ends.size < MOST_ENDS) ends.set(token, isNamed);
  }

  /** Whether the token that ends an answer of the model is named; undefined: it is not known to end one. */
  isNamed(model: string, token: number): boolean | undefined {
    return this.models.get(model)?.get(token);
  }
}
