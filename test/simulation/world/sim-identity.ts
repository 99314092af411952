/**
 * Identities of the simulated mesh. A connection carries the name that its dialler proves and until when; the listener
 * believes it. What TLS does to get there is tested elsewhere.
 */
import type { Socket } from 'node:net';
import type { ListenerSecurity, MeshIdentity } from '../../../sidecar/app/mesh-identity.js';
import type { Address } from '../../../sidecar/config/model.js';
import type { Identity } from '../../../sidecar/identity/identity.js';
import { Caller } from '../../../sidecar/inbound/caller.js';
import type { Session } from '../../../sidecar/transport/session.js';
import type { SimNet, SimSocket } from './sim-net.js';
import type { SimProcess } from './sim-process.js';

export class SimIdentity implements MeshIdentity {
  /** Wall-clock ms. */
  notAfterMs = Number.POSITIVE_INFINITY;
  rotations = 0;
  readonly current = undefined;
  readonly lifetimeSeconds = undefined;
  private readonly rotated: ((change: { identity: Identity; rootsChanged: boolean }) => void)[] = [];
  private readonly expired: (() => void)[] = [];

  constructor(
    private readonly service: string,
    private readonly net: SimNet,
    private readonly process: SimProcess,
  ) {}

  private get isValid(): boolean {
    return this.process.wallNow() < this.notAfterMs;
  }

  onRotated(listener: (change: { identity: Identity; rootsChanged: boolean }) => void): void {
    this.rotated.push(listener);
  }

  onExpiry(listener: () => void): void {
    this.expired.push(listener);
  }

  /** A new certificate with the same name. */
  rotate(): void {
    this.rotations++;
    const identity = { serial: `${this.rotations}`, id: { uri: this.uri }, notAfterMs: this.notAfterMs };
    for (const each of this.rotated) each({ identity: identity as never, rootsChanged: false });
  }

  private get uri(): string {
    return `spiffe://sim/ns/default/dc/dc1/svc/${this.service}`;
  }

  dial(address: Address): Socket | undefined {
    if (!this.isValid) return undefined;
    return this.net.dial(address, this.process, this.service, this.notAfterMs) as unknown as Socket;
  }

  whyNoDial(): string {
    return 'the certificate has expired';
  }

  security(): ListenerSecurity {
    return {
      admit: (socket) => {
        const { identity, notAfterMs } = socket as unknown as SimSocket;
        if (identity === null) return { refused: 'no-certificate' };
        if (this.process.wallNow() >= notAfterMs) return { refused: 'expired' };
        return { identity: new Caller(identity), subject: `spiffe://sim/svc/${identity}`, notAfterMs };
      },
    };
  }

  stillTrusts(_session: Session): boolean {
    return true;
  }

  get problem(): string | undefined {
    return this.isValid ? undefined : 'the certificate has expired';
  }

  get secondsLeft(): number | undefined {
    return Number.isFinite(this.notAfterMs) ? (this.notAfterMs - this.process.wallNow()) / 1000 : undefined;
  }

  close(): void {}
}
