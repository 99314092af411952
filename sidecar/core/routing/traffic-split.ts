import { hashText, mix } from '../balancing/hash.js';

/** By a value of metadata, or by the model that the request names, and by its version where one is said. */
export type SplitMatch =
  | { readonly key: string; readonly value: string; readonly upstream: string; readonly model?: undefined }
  | { readonly model: string; readonly version?: string; readonly upstream: string };

/** What a request names; both are empty where that is not known. */
export interface CalledModel {
  readonly modelName: string;
  readonly modelVersion: string;
}

/** How calls are split over upstreams. */
export interface SplitSettings {
  /** First match wins. */
  readonly match: readonly SplitMatch[];
  /** By upstream, each ≥ 0. */
  readonly weights: Readonly<Record<string, number>>;
  /** Calls with the same value of this metadata key go to the same one. */
  readonly stickyBy?: string;
}

type Lookup<Call> = (call: Call, key: string) => string | undefined;

const RANGE = 0x1_0000_0000;

/**
 * Splits calls over upstreams: by metadata, else by weight. Sticky calls are placed by weighted rendezvous hashing (Schindelhauer
 * and Schomaker 2005): each upstream draws a number for the key, and the highest wins. When weights change, keys move only
 * towards upstreams whose share grows.
 */
export class Split {
  private readonly names: readonly string[];
  private readonly weights: Float64Array;
  private readonly seeds: Uint32Array;
  private readonly total: number;

  constructor(private readonly settings: SplitSettings) {
    const taken = Object.entries(settings.weights).filter(([, weight]) => weight > 0);
    this.names = taken.map(([upstream]) => upstream);
    this.weights = Float64Array.from(taken, ([, weight]) => weight);
    this.seeds = Uint32Array.from(this.names, (name) => hashText(name));
    this.total = this.weights.reduce((sum, weight) => sum + weight, 0);
  }

  /** Name of the upstream; undefined when all weights are 0. @param lookup value of a metadata key of `call`. */
  choose<Call>(
    lookup: Lookup<Call>,
    call: Call,
    random: () => number,
    called: CalledModel = NO_MODEL,
  ): string | undefined {
    const { match, stickyBy } = this.settings;
    for (const each of match)
      if (each.model === undefined ? lookup(call, each.key) === each.value : isCalled(each, called))
        return each.upstream;
    if (this.names.length <= 1) return this.names[0];
    const sticky = stickyBy === undefined ? undefined : lookup(call, stickyBy);
    return sticky === undefined ? this.draw(random() * this.total) : this.placeOf(sticky);
  }

  private draw(point: number): string {
    const last = this.names.length - 1;
    let left = point;
    for (let i = 0; i < last; i++) {
      left -= this.weights[i]!;
      if (left < 0) return this.names[i]!;
    }
    return this.names[last]!;
  }

  private placeOf(sticky: string): string {
    const hash = hashText(sticky);
    let best = 0;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < this.names.length; i++) {
      // Even in (0, 1); its logarithm divided by the weight is highest with a chance in proportion to the weight.
      const drawn = (mix(hash ^ this.seeds[i]!) + 0.5) / RANGE;
      const score = Math.log(drawn) / this.weights[i]!;
      if (score <= bestScore) continue;
      bestScore = score;
      best = i;
    }
    return this.names[best]!;
  }
}

const NO_MODEL: CalledModel = { modelName: '', modelVersion: '' };

function isCalled(
  { model, version }: { readonly model: string; readonly version?: string },
  { modelName, modelVersion }: CalledModel,
): boolean {
  return model === modelName && (version === undefined || version === modelVersion);
}
