import type { Endpoint } from '../endpoint.js';

/** A word counts for so long: a model that comes back is found by then. */
const KEPT_MS = 2_000;
/** Models remembered; of more, those that are new are not. */
const MOST_MODELS = 256;

/**
 * Models that endpoints lately said they do not serve, each for 2 s. A call to one that no endpoint serves is not tried again,
 * so that the retry budget is left for calls that another endpoint can answer.
 */
export class UnservedModels {
  /** By model: until when the word of each endpoint counts. */
  private readonly byModel = new Map<string, Map<Endpoint, number>>();

  /**
   * `endpoint` has said that it does not serve `model`.
   * @param endpoints all that the call could go to. True: each of them has said the same lately.
   */
  isServedNowhere(model: string, endpoint: Endpoint, endpoints: readonly Endpoint[], nowMs: number): boolean {
    let words = this.byModel.get(model);
    if (words === undefined) {
      if (this.byModel.size >= MOST_MODELS) this.forgetOld(nowMs);
      if (this.byModel.size >= MOST_MODELS) return false;
      words = new Map();
      this.byModel.set(model, words);
    }
    for (const [each, untilMs] of words) if (untilMs <= nowMs || each.isGone) words.delete(each);
    // Not renewed while it counts: or else one replica's word would outlive a change at the others.
    if (!words.has(endpoint)) words.set(endpoint, nowMs + KEPT_MS);
    for (const each of endpoints) if (each.weight > 0 && !words.has(each)) return false;
    return true;
  }

  private forgetOld(nowMs: number): void {
    for (const [model, words] of this.byModel)
      if ([...words.values()].every((untilMs) => untilMs <= nowMs)) this.byModel.delete(model);
  }
}
