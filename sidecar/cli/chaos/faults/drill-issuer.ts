import type { IssuedLeaf, LocalCa } from '../../../identity/ca/local-ca.js';

/** The certificate authority of an arm, which drills may take away, and let issue certificates that end soon. */
export class DrillIssuer implements Pick<LocalCa, 'issueLeaf'> {
  isAway = false;
  /** Of the certificates from now on, ms; undefined: as asked for. */
  lifetimeMs: number | undefined;

  constructor(private readonly ca: Pick<LocalCa, 'issueLeaf'>) {}

  async issueLeaf(service: string, lifetimeMs?: number): Promise<IssuedLeaf> {
    if (this.isAway) throw new Error('the authority is away');
    return this.ca.issueLeaf(service, this.lifetimeMs ?? lifetimeMs);
  }
}
