/**
 * What can be chosen of Envoy for the drills, and choices to try. `--envoy-variant NAME` runs the arm with one of
 * them; without it the arm has `ENVOY_BEST`.
 */
import { named } from '../options.js';

/** What differs between the variants; everything else is in `envoy-config.ts`. */
export interface EnvoySettings {
  /**
   * How each proxy beside a model bounds what it lets through. `breakers`: circuit breakers at twice the places of the model.
   * `adaptive`: the filter `adaptive_concurrency` finds the bound from latencies. `both`: one behind the other.
   */
  readonly bound: 'breakers' | 'adaptive' | 'both';
  /** Whether the caller's proxy refuses a growing share of calls at once while many fail (the filter `admission_control`). */
  readonly admission: 'off' | 'on';
  /** Least request of how many hosts that are drawn; 2 is Envoy's default, 3 are all. */
  readonly choices: 2 | 3;
  /** Errors in a row until a host is ejected; 5 is Envoy's default. */
  readonly consecutive: number;
  /** Share of the hosts that may be out, percent: with 50 two of three are, with 33 one. */
  readonly mostEjected: 33 | 50;
  /** Whether hosts are also asked by gRPC health checks twice a second. */
  readonly checks: 'off' | 'on';
  /** Whether an attempt that is late is raced by the next one, in the place of being ended. */
  readonly hedge: 'off' | 'on';
  /** Share of the calls in flight that may be retries, percent; 20 is Envoy's default. */
  readonly retryPercent: number;
}

/** The first setting: what Outrider's own mesh file of the drills has, in Envoy's options. */
const PLAIN: EnvoySettings = {
  ...{ bound: 'breakers', admission: 'off', choices: 2, consecutive: 5, checks: 'off', hedge: 'off' },
  ...{ mostEjected: 50, retryPercent: 20 },
};

/** The settings to try, by their names on the command line; `envoy-config.ts` says what the measured ones printed. */
const ENVOY_VARIANTS: Readonly<Record<string, EnvoySettings>> = {
  plain: PLAIN,
  adaptive: { ...PLAIN, bound: 'adaptive' },
  'adaptive-and-breakers': { ...PLAIN, bound: 'both' },
  admission: { ...PLAIN, admission: 'on' },
  'adaptive-and-admission': { ...PLAIN, bound: 'adaptive', admission: 'on' },
  'all-hosts': { ...PLAIN, choices: 3 },
  'one-out': { ...PLAIN, choices: 3, mostEjected: 33 },
  eager: { ...PLAIN, choices: 3, consecutive: 3 },
  checks: { ...PLAIN, choices: 3, checks: 'on' },
  hedge: { ...PLAIN, choices: 3, hedge: 'on' },
  'more-retries': { ...PLAIN, choices: 3, retryPercent: 100 },
};

/** The setting of the arm. */
export const ENVOY_BEST: EnvoySettings = PLAIN;

/** A variant by its name. @throws CommandFailure(2) for a name that is none. */
export function envoyVariant(name: string): EnvoySettings {
  const all = Object.keys(ENVOY_VARIANTS).map((each) => ({ name: each }));
  return ENVOY_VARIANTS[named(all, [name], 'variant of Envoy')[0]!.name]!;
}
