import type { Socket } from 'node:net';
import tls from 'node:tls';
import type { Peer } from '../cluster/endpoint.js';
import { writeAddress } from '../config/codecs/address.js';
import type { Address, SidecarConfig } from '../config/model.js';
import type { Identity, IdentitySource } from '../identity/identity.js';
import { MappedIds } from '../identity/mapped-ids.js';
import { FileIdentitySource } from '../identity/sources/file-source.js';
import { SpireIdentitySource } from '../identity/spire/spire-source.js';
import { WorkloadSocket } from '../identity/spire/workload-api.js';
import { stillTrustsPeerSocket, verifyPeerSocket } from '../identity/tls/peer-verification.js';
import { TlsRotation } from '../identity/tls/rotation.js';
import { serverTlsOptions } from '../identity/tls/tls-options.js';
import { Caller } from '../inbound/caller.js';
import { AuditKind } from '../telemetry/audit/trail.js';
import { type Refusal, RefusalLog } from '../telemetry/refusal-log.js';
import { dialTls } from '../transport/dial.js';
import type { ListenerTls } from '../transport/listener.js';
import type { Session } from '../transport/session.js';
import type { AppContext } from './context.js';
import type { ListenerSecurity, MeshIdentity } from './mesh-identity.js';

/**
 * The sidecar's TLS identity: new outbound connections present the current certificate, the inbound
 * listener verifies its peers, and both follow each rotation. The certificate comes from an
 * `IdentitySource`: files, a SPIRE agent or Consul.
 */
export class TlsIdentity implements MeshIdentity {
  private readonly rotation: TlsRotation;
  private readonly refusals: RefusalLog;

  constructor(
    private readonly source: IdentitySource,
    private readonly context: AppContext,
  ) {
    const { clock, logger } = context.deps;
    const { audit } = context.dataPlane;
    this.refusals = new RefusalLog(logger, () => clock.now());
    this.rotation = new TlsRotation(source, () => clock.wallNow(), context.deps.timers);
    this.onRotated(({ rootsChanged, identity }) => {
      const { serial, id, notAfterMs } = identity;
      logger.info({ serial, rootsChanged }, 'identity rotated');
      audit.record(AuditKind.certificate, { ...certificateFields(serial, id.uri, notAfterMs), rootsChanged });
    });
    this.onExpiry(() => {
      logger.error({ problem: this.problem }, 'our certificate expired; nothing new is begun');
      audit.record(AuditKind.certificateExpired, { problem: this.problem });
    });
  }

  /**
   * The identity in certificate files; undefined without `identity` files in the configuration.
   * Throws `IdentityFilesError`.
   */
  static fromFiles(config: SidecarConfig, context: AppContext): TlsIdentity | undefined {
    const { identity, trustDomain, service } = config;
    if (identity.kind !== 'files') return undefined;
    const { clock, timers, logger, identityFeed } = context.deps;
    const onProblem = (problem: string) =>
      logger.error({ problem }, 'identity files are not usable; the last good identity stays');
    const ids = identity.ids && new MappedIds(identity.ids);
    const from = { paths: identity, feed: identityFeed, trustDomain, service, ids };
    return new TlsIdentity(new FileIdentitySource({ ...from, clock, timers, onProblem }), context);
  }

  /** The identity from a SPIRE agent; undefined without `identity.spire` in the configuration. */
  static fromSpire(config: SidecarConfig, context: AppContext): TlsIdentity | undefined {
    const { identity, trustDomain, service } = config;
    if (identity.kind !== 'spire' || identity.spire.kind !== 'unix') return undefined;
    const { clock, timers, random, logger } = context.deps;
    const { spire, spireOwner, hint } = identity;
    const source = new SpireIdentitySource({
      ...{ api: new WorkloadSocket(spire.path, spireOwner, timers), where: writeAddress(spire) },
      ...{ trustDomain, service, hint, ids: identity.ids && new MappedIds(identity.ids) },
      ...{ clock, timers, random },
      onProblem: (problem) => logger.error({ problem }, 'no new identity from SPIRE'),
      onRecovery: () =>
        logger.info({ agent: writeAddress(spire) }, 'the SPIRE agent gives an identity again'),
    });
    return new TlsIdentity(source, context);
  }

  /**
   * Called after each rotation; `rootsChanged`: peers that were accepted before have to be verified
   * again.
   */
  onRotated(listener: (change: { identity: Identity; rootsChanged: boolean }) => void): void {
    this.rotation.subscribe(listener);
  }

  /** Called when our certificate has expired and no new one has come. */
  onExpiry(listener: () => void): void {
    this.rotation.onExpiry(listener);
  }

  /** Why `dial` returns undefined, for people. */
  whyNoDial(): string {
    return this.problem ?? 'no identity to connect with yet';
  }

  /** Connects to `peer` over TLS; undefined while there is no valid certificate to present. */
  dial(address: Address, peer: Peer): Socket | undefined {
    const options = this.rotation.clientOptions(peer);
    if (options === undefined) return undefined;
    const socket = dialTls(address, options);
    socket.once('error', (error) => {
      try {
        this.recordRefusal(error, socket, address, peer);
      } catch (thrown) {
        this.context.dataPlane.containment.contain({ giveUp: () => socket.destroy() }, thrown);
      }
    });
    return socket;
  }

  private recordRefusal(error: Error, socket: tls.TLSSocket, address: Address, peer: Peer): void {
    const reason = this.rotation.handshakeFailure(error, socket);
    if (reason === undefined) return;
    this.context.dataPlane.stats.countHandshakeFailure(reason);
    const refusal = { reason, detail: error.message, peer: writeAddress(address) };
    this.refusals.note(refusal, 'endpoint refused', { upstream: peer.service });
  }

  security(options: { readonly alsoPlaintext: boolean }): ListenerSecurity {
    return { tls: this.serverTls(options) };
  }

  /**
   * TLS of the inbound listener. It may open before there is an identity: until then every
   * handshake fails.
   *
   * @param options.alsoPlaintext `mtls: permissive`: connections without TLS are accepted too.
   */
  serverTls({ alsoPlaintext }: { readonly alsoPlaintext: boolean }): ListenerTls {
    const { rotation } = this;
    return {
      options: serverTlsOptions(rotation.identity),
      attach: (server) => rotation.attach(server),
      admit: (socket) => {
        const { trust } = rotation;
        if (trust === undefined) return { refused: 'no-identity' };
        const peer = verifyPeerSocket(socket, trust, this.context.deps.clock.wallNow());
        if (peer.kind !== 'accepted') return this.refuse(peer, socket.remoteAddress ?? 'unknown');
        const { id, notAfterMs } = peer;
        return { identity: new Caller(id.service), subject: id.uri, notAfterMs };
      },
      fault: (error, socket, from) => {
        const reason = rotation.handshakeFailure(error, socket);
        if (reason === undefined) return handshakeErrorName(error);
        // OpenSSL's verdict on its certificate; the error is no more than the end of the handshake.
        const verdict: unknown = socket.authorizationError;
        const detail = typeof verdict === 'string' ? verdict : error.message;
        return this.refuse({ reason, detail }, from).refused;
      },
      alsoPlaintext,
    };
  }

  /** A caller whose certificate is refused: the line in the log is all there is to learn the cause from. */
  private refuse(
    { reason, detail }: Pick<Refusal, 'reason' | 'detail'>,
    peer: string,
  ): { readonly refused: string } {
    this.refusals.note({ reason, detail, peer }, 'caller refused');
    return { refused: reason };
  }

  /**
   * Whether the peer of a connection would be accepted with the roots of now, whether or not its certificate has ended: what follows from
   * that is up to the session (`SessionGuard`). Plaintext connections always are.
   */
  stillTrusts({ socket }: Session, peer?: Peer): boolean {
    const { trust } = this.rotation;
    if (trust === undefined || !(socket instanceof tls.TLSSocket)) return true;
    // Our own handshake is not over: its peer is verified then, with the roots of then.
    if (peer !== undefined && !socket.authorized) return true;
    return stillTrustsPeerSocket(socket, trust, this.context.deps.clock.wallNow(), peer);
  }

  get problem(): string | undefined {
    const { trust, problem } = this.rotation;
    return (trust === undefined ? problem : undefined) ?? this.source.status().problem;
  }

  get warning(): string | undefined {
    return this.source.status().warning;
  }

  get failure(): string | undefined {
    return this.rotation.problem ?? this.source.status().failure;
  }

  /** The identity of now, with its key; undefined until the first one has come. */
  get current(): Identity | undefined {
    return this.source.current();
  }

  /** Rotations since the start. */
  get rotations(): number {
    return this.rotation.rotations;
  }

  /** Seconds until the certificate expires; undefined while there is none. */
  get secondsLeft(): number | undefined {
    const { notAfterMs } = this.source.status();
    return notAfterMs === undefined ? undefined : (notAfterMs - this.context.deps.clock.wallNow()) / 1000;
  }

  /** From the first to the last second of the certificate; undefined while there is none. */
  get lifetimeSeconds(): number | undefined {
    const identity = this.source.current();
    return identity && (identity.notAfterMs - identity.notBeforeMs) / 1000;
  }

  close(): void {
    this.rotation.close();
    this.source.close();
  }
}

function certificateFields(serial: string, id: string, notAfterMs: number): Record<string, string> {
  return { serial, id, notAfter: new Date(notAfterMs).toISOString() };
}

function handshakeErrorName(error: Error & { code?: string }): string {
  return error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT' ? 'handshake-timeout' : 'tls-error';
}
