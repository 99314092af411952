/** A member is suspect for so long after its last charge, ms. */
const SUSPECT_MS = 10_000;

/**
 * Members that have been charged of late. All of their answers may be looked at, so that a verdict does not wait for a
 * small share of them.
 */
export class Suspects<Member> {
  private readonly until = new Map<Member, number>();

  /** Whether there is one. */
  isAny(nowMs: number): boolean {
    for (const [member, until] of this.until) {
      if (nowMs < until) return true;
      this.until.delete(member);
    }
    return false;
  }

  has(member: Member, nowMs: number): boolean {
    if (this.until.size === 0) return false;
    const until = this.until.get(member);
    return until !== undefined && nowMs < until;
  }

  add(member: Member, nowMs: number): void {
    this.until.set(member, nowMs + SUSPECT_MS);
  }

  clear(member: Member): void {
    this.until.delete(member);
  }
}
