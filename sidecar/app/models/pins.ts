import type { Revision } from '../../core/models/settled-listing.js';

/**
 * Which revisions are served where versions change by rollouts only: those that are pinned, whatever comes into the directory;
 * and of a model under a rollout a candidate beside them, which gets no call before it is told to.
 */
export class Pins {
  private readonly pinned = new Map<string, readonly Revision[]>();
  private readonly candidates = new Map<string, Revision>();

  /** What is served at the start. */
  begin(initial: readonly Revision[]): void {
    for (const { name } of initial)
      this.pinned.set(
        name,
        initial.filter((each) => each.name === name),
      );
  }

  /** All that has to have processes. */
  get wanted(): readonly Revision[] {
    return [...[...this.pinned.values()].flat(), ...this.candidates.values()];
  }

  /** The revision that calls without a version go to; undefined: the model is not served. */
  servedOf(name: string): Revision | undefined {
    return this.pinned.get(name)?.[0];
  }

  candidateOf(name: string): Revision | undefined {
    return this.candidates.get(name);
  }

  isCandidate(revision: Revision): boolean {
    return isSame(this.candidates.get(revision.name), revision);
  }

  offer(revision: Revision): void {
    this.candidates.set(revision.name, revision);
  }

  /** The candidate takes the place of what calls go to. */
  commit(name: string): void {
    const candidate = this.candidates.get(name);
    if (candidate === undefined) return;
    this.candidates.delete(name);
    const others = (this.pinned.get(name) ?? []).slice(1);
    this.pinned.set(name, [candidate, ...others.filter(({ version }) => version !== candidate.version)]);
  }

  withdraw(name: string): void {
    this.candidates.delete(name);
  }

  /** By model the version that calls go to, for the next process. */
  get versions(): Readonly<Record<string, string>> {
    const entries = [...this.pinned].flatMap(([name, [first]]) =>
      first === undefined ? [] : [[name, first.version] as const],
    );
    return Object.fromEntries(entries);
  }
}

function isSame(a: Revision | undefined, b: Revision): boolean {
  return a?.name === b.name && a.version === b.version && a.fingerprint === b.fingerprint;
}
