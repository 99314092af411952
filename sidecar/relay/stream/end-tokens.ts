import type { EngineSilence } from '../../core/stats/engine-silence.js';

/** Models of an upstream whose ends are remembered, and ends of each: a model has a handful. */
const MOST_MODELS = 8;
const MOST_ENDS = 16;

/** Of an engine that says what it runs, a token is an end of that model for good. */
interface EndToken {
  /** Engines name it as what ended an answer. */
  readonly isNamed: boolean;
  /** Null, or the engine that ended an answer by it last and did not say what it runs, and which life of it that was. */
  readonly engine: EngineSilence | null;
  readonly life: number;
}

/**
 * The tokens by which the models of an upstream end answers, learned from answers that ended. No message of Generate says them. An engine that
 * died behind such a token, and before it said so, had made the whole answer.
 */
export class EndTokens {
  /** By model. */
  private readonly models = new Map<string, Map<number, EndToken>>();

  /** @param engine which ended an answer by the token */
  learn(model: string, token: number, isNamed: boolean, engine: EngineSilence | null): void {
    let ends = this.models.get(model);
    if (ends === undefined) {
      if (this.models.size >= MOST_MODELS) this.models.delete(this.models.keys().next().value!);
      ends = new Map();
      this.models.set(model, ends);
    }
    if (ends.size >= MOST_ENDS) forgetOld(ends);
    if (ends.size >= MOST_ENDS && !ends.has(token)) return;
    // One that does not say what it runs may run something else once it has started again.
    ends.set(token, { isNamed, engine: model === '' ? engine : null, life: engine?.lives ?? 0 });
  }

  /** Whether the token that ends an answer of the model is named; undefined: it is not known to end one. */
  isNamed(model: string, token: number): boolean | undefined {
    const end = this.models.get(model)?.get(token);
    if (end === undefined) return undefined;
    return isOld(end) ? undefined : end.isNamed;
  }
}

function forgetOld(ends: Map<number, EndToken>): void {
  for (const [token, end] of ends) if (isOld(end)) ends.delete(token);
}

/** The engine that showed it may run something else by now. */
function isOld({ engine, life }: EndToken): boolean {
  return engine !== null && engine.lives !== life;
}
