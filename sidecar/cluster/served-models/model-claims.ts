import type { Balancer, CallKind } from '../../core/balancing/balancer.js';
import { hasUntried } from '../../core/balancing/balancer.js';
import type { Endpoint } from '../endpoint.js';

/** Models remembered of one cluster; of more, those that come later are claimed by none. */
const MOST_MODELS = 1_024;
/** Versions of one model that are told apart; calls for others go to any endpoint that has the model. */
const MOST_VERSIONS = 256;

/** Why a call that names a model went to an endpoint that is not known to have it. */
export const MISS_REASONS = ['unclaimed', 'unavailable', 'unnamed'] as const;
export type MissReason = (typeof MISS_REASONS)[number];

/** Counts by reason, of one cluster. */
export type ModelMisses = Record<MissReason, number>;

/** The endpoints that may have one model, and the choice among them. */
export class ModelGroup {
  constructor(
    readonly model: string,
    readonly endpoints: readonly Endpoint[],
    /** Of its own: what it derives from its endpoints holds for these alone. */
    private readonly balancer: Balancer,
  ) {}

  has(endpoint: Endpoint): boolean {
    return this.endpoints.includes(endpoint);
  }

  /** Whether an attempt could go to the endpoint, which is not among `tried`. */
  isCandidate(endpoint: Endpoint, tried: readonly Endpoint[]): boolean {
    return this.has(endpoint) && isCandidate(endpoint, tried);
  }

  /** Whether a further attempt could go to one of them. */
  hasUntried(tried: readonly Endpoint[]): boolean {
    return this.endpoints.some((each) => isCandidate(each, tried));
  }

  /** The one of them that calls with this key go to if these alone may take it; undefined: there is none, or keys are not read. */
  ownerOf(key: number, mayTake: (endpoint: Endpoint) => boolean): Endpoint | undefined {
    return this.balancer.ownerOf?.(this.endpoints, key, mayTake);
  }

  /**
   * The balancer's choice among those that get calls; without one, an endpoint of another priority or locality; then one
   * that is ejected, as a model's last endpoint is not taken from it; then one that is connecting. Undefined: there is none
   * that the call has not tried.
   */
  pick(
    tried: readonly Endpoint[],
    nowMs: number,
    key?: number,
    kind?: CallKind,
    prompt?: Uint32Array,
  ): Endpoint | undefined {
    if (hasUntried(this.endpoints, tried))
      return this.balancer.pick(this.endpoints, tried, nowMs, key, kind, prompt);
    let best: Endpoint | undefined;
    for (const each of this.endpoints)
      if (isCandidate(each, tried) && (best === undefined || isBefore(each, best))) best = each;
    return best;
  }
}

/** Connected or about to be, with weight, not tried; one whose own sidecar says that its model is down is left alone. */
function isCandidate(endpoint: Endpoint, tried: readonly Endpoint[]): boolean {
  const { weight, isConnected, ejection, pool } = endpoint;
  return weight > 0 && (isConnected || pool.isConnecting) && !ejection.isDown && !tried.includes(endpoint);
}

/** By rank, then by priority, then the one with fewer calls under way. */
function isBefore(one: Endpoint, other: Endpoint): boolean {
  const [a, b] = [rankOf(one), rankOf(other)];
  if (a !== b) return a < b;
  return one.priority === other.priority ? one.inFlight < other.inFlight : one.priority < other.priority;
}

/** 0: it may be called; 1: connected, and ejected; 2: connecting. */
function rankOf({ isConnected, ejections, ejection }: Endpoint): number {
  if (ejections.members.mayCall(ejection)) return 0;
  return isConnected ? 1 : 2;
}

/**
 * Which endpoints of a cluster have which models, as their registration or the file says. An endpoint that says nothing may
 * have any. Only made where they differ: until then no call is read for its model.
 */
export class ModelClaims {
  private constructor(
    private readonly groups: ReadonlyMap<string, ModelGroup>,
    /** By model, versions that not all of its endpoints have. */
    private readonly versions: ReadonlyMap<string, ReadonlyMap<string, ModelGroup>>,
  ) {}

  /**
   * Null: every model that is named is at every endpoint, with the same versions.
   * @param makeBalancer for each group one of its own, of the kind that the cluster has.
   */
  static of(endpoints: readonly Endpoint[], makeBalancer: () => Balancer): ModelClaims | null {
    const names = new Set<string>();
    for (const { models } of endpoints)
      for (const name of models ?? []) if (names.size < MOST_MODELS) names.add(name);
    const groups = new Map<string, ModelGroup>();
    const versions = new Map<string, ReadonlyMap<string, ModelGroup>>();
    let isEven = true;
    for (const name of names) {
      const having = endpoints.filter(({ models }) => models === null || models.includes(name));
      if (having.length < endpoints.length) isEven = false;
      groups.set(name, new ModelGroup(name, having, makeBalancer()));
      const uneven = versionGroups(name, having, makeBalancer);
      if (uneven.size > 0) versions.set(name, uneven);
    }
    return isEven && versions.size === 0 ? null : new ModelClaims(groups, versions);
  }

  /** The models that are claimed. */
  get models(): Iterable<string> {
    return this.groups.keys();
  }

  /**
   * The endpoints that may have a version of a model; where all are said to have it or none is, all that have the model. Empty
   * version: the call names none. Undefined: no endpoint claims this model.
   */
  groupOf(model: string, version: string): ModelGroup | undefined {
    if (version !== '' && this.versions.size > 0) {
      const group = this.versions.get(model)?.get(version);
      if (group !== undefined) return group;
    }
    return this.groups.get(model);
  }
}

/** A group for each version that some of these endpoints have and some have not. One whose versions are not known may have each. */
function versionGroups(
  name: string,
  having: readonly Endpoint[],
  makeBalancer: () => Balancer,
): ReadonlyMap<string, ModelGroup> {
  const groups = new Map<string, ModelGroup>();
  const saidBy = ({ versions }: Endpoint): readonly string[] | undefined =>
    versions !== null && Object.hasOwn(versions, name) ? versions[name] : undefined;
  const all = new Set(having.flatMap((each) => saidBy(each) ?? []));
  for (const version of [...all].slice(0, MOST_VERSIONS)) {
    const group = having.filter((each) => saidBy(each)?.includes(version) ?? true);
    if (group.length < having.length) groups.set(version, new ModelGroup(name, group, makeBalancer()));
  }
  return groups;
}
