/**
 * Identities of the simulated mesh. A connection carries the name that its dialler proves and until when; the listener
 * believes it, and the dialler the listener. What TLS does to get there is tested elsewhere.
 */
import type { Socket } from 'node:net';
import type { ListenerSecurity, MeshIdentity } from '../../../sidecar/app/mesh-identity.js';
import type { Address } from '../../../sidecar/config/model.js';
import type { Identity } from '../../../sidecar/identity/identity.js';
import type { Caller } from '../../../sidecar/inbound/caller.js';
import type { Session } from '../../../sidecar/transport/session.js';
import type { SimNet, SimSocket, SocketOwner } from './sim-net.js';
import type { SimProcess } from './sim-process.js';

/** The clock is looked at this often: it may jump. */
const LOOK_MS = 1_000;

/** Who gives certificates to a sidecar. It outlives the processes of it. */
export interface Issuer {
  /** Of a certificate, ms; Infinity: it does not expire. */
  readonly lifetimeMs: number;
  /** False: no new ones come; a fault. */
  isGiving: boolean;
  /** Root that certificates are of from now on. */
  root: number;
  /** Roots that the sidecar is told to believe. */
  roots: readonly number[];
  /** Is told of other roots. */
  onRoots: () => void;
}

export class SimIdentity implements MeshIdentity {
  /** Wall-clock ms. */
  notAfterMs: number;
  rotations = 0;
  readonly current = undefined;
  readonly lifetimeSeconds = undefined;
  private readonly rotated: ((change: { identity: Identity; rootsChanged: boolean }) => void)[] = [];
  private readonly expired: (() => void)[] = [];
  private wasValid = true;
  /** Of the certificate. */
  root: number;
  private believed: readonly number[];

  constructor(
    private readonly service: string,
    private readonly net: SimNet,
    private readonly process: SimProcess,
    private readonly issuer: Issuer,
    /** Of the version that the process runs. */
    private readonly Peer: typeof Caller,
  ) {
    this.notAfterMs = this.issued();
    this.root = issuer.root;
    this.believed = issuer.roots;
    issuer.onRoots = () => process.run(() => this.believe());
    net.identities.set(process, this);
    if (!Number.isFinite(issuer.lifetimeMs)) return;
    process.every((issuer.lifetimeMs * 2) / 3, () => this.rotate());
    process.every(LOOK_MS, () => this.look());
  }

  /** The issuer's clock is right, whatever the clock here says. */
  private issued(): number {
    return this.process.wallNow() - this.process.clockOffsetMs + this.issuer.lifetimeMs;
  }

  get isValid(): boolean {
    return this.isValidFor(this.process);
  }

  /** Whether another process takes it. */
  isValidFor(other: SocketOwner): boolean {
    if ((other as SimProcess).wallNow() >= this.notAfterMs) return false;
    const there = this.net.identities.get(other) as SimIdentity | undefined;
    return there === undefined || there.believed.includes(this.root);
  }

  /** Other roots are believed from now on. */
  private believe(): void {
    this.believed = this.issuer.roots;
    this.tell(true);
  }

  private tell(rootsChanged: boolean): void {
    this.rotations++;
    const identity = { serial: `${this.rotations}`, id: { uri: this.uri }, notAfterMs: this.notAfterMs };
    for (const each of this.rotated) each({ identity: identity as never, rootsChanged });
  }

  onRotated(listener: (change: { identity: Identity; rootsChanged: boolean }) => void): void {
    this.rotated.push(listener);
  }

  onExpiry(listener: () => void): void {
    this.expired.push(listener);
  }

  /** A new certificate with the same name, if one is to be had. */
  rotate(): void {
    if (!this.issuer.isGiving) return;
    this.notAfterMs = this.issued();
    this.root = this.issuer.root;
    this.tell(false);
    this.look();
  }

  private look(): void {
    const { isValid } = this;
    if (this.wasValid && !isValid) for (const each of this.expired) each();
    this.wasValid = isValid;
  }

  private get uri(): string {
    return `spiffe://sim/ns/default/dc/dc1/svc/${this.service}`;
  }

  dial(address: Address): Socket | undefined {
    if (!this.isValid) return undefined;
    const socket = this.net.dial(address, this.process, this.service, this.notAfterMs);
    socket.root = this.root;
    // A handshake fails on the side that does not believe the other.
    socket.believes = (other) => this.net.identities.get(other)?.isValidFor(this.process) ?? true;
    return socket as unknown as Socket;
  }

  whyNoDial(): string {
    return 'the certificate has expired';
  }

  security(): ListenerSecurity {
    return {
      admit: (socket) => {
        const { identity, notAfterMs, peerRoot } = socket as unknown as SimSocket;
        if (identity === null) return { refused: 'no-certificate' };
        if (this.process.wallNow() >= notAfterMs) return { refused: 'expired' };
        if (!this.believed.includes(peerRoot)) return { refused: 'untrusted' };
        return { identity: new this.Peer(identity), subject: `spiffe://sim/svc/${identity}`, notAfterMs };
      },
    };
  }

  stillTrusts({ socket }: Session): boolean {
    const { peerRoot, connecting } = socket as unknown as SimSocket;
    return connecting || peerRoot === 0 || this.believed.includes(peerRoot);
  }

  get problem(): string | undefined {
    return this.isValid ? undefined : 'the certificate has expired';
  }

  get warning(): undefined {
    return undefined;
  }

  get failure(): undefined {
    return undefined;
  }

  get secondsLeft(): number | undefined {
    return Number.isFinite(this.notAfterMs) ? (this.notAfterMs - this.process.wallNow()) / 1000 : undefined;
  }

  close(): void {}
}
