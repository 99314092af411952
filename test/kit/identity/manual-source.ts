import type { Identity, IdentitySource, IdentityStatus } from '../../../sidecar/identity/identity.js';

export class ManualSource implements IdentitySource {
  private readonly listeners = new Set<(identity: Identity) => void>();

  constructor(private identity: Identity | undefined = undefined) {}

  current(): Identity | undefined {
    return this.identity;
  }

  subscribe(listener: (identity: Identity) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  set(identity: Identity): void {
    this.identity = identity;
    for (const listener of [...this.listeners]) listener(identity);
  }

  get listening(): number {
    return this.listeners.size;
  }

  status(): IdentityStatus {
    return {};
  }

  close(): void {
    this.listeners.clear();
  }
}
