/**
 * Stands before an agent and signs Connect's certificates in its place, with any length of life: Consul's own live for
 * an hour at least. Everything else is the agent's answer.
 */

import { answerAt, ConsulProxy, type HeldRequest } from '../../../sidecar/cli/chaos/faults/consul-proxy.js';
import { type IssuedLeaf, LocalCa } from '../../../sidecar/identity/ca/local-ca.js';

const ROOTS = '/v1/agent/connect/ca/roots';
const LEAF = '/v1/agent/connect/ca/leaf/';
const TRUST_DOMAIN = 'short-lived.consul';
/** What blocks is answered as it is after this long. */
const WAIT_MS = 25_000;
const HOUR_MS = 3_600_000;

/** A proxy before an agent that issues short-lived leaves. */
export class ShortLivedAuthority {
  private readonly leaves = new Map<string, Promise<IssuedLeaf>>();
  private lifetimeMs = HOUR_MS;
  private index = 10;

  private constructor(
    private readonly proxy: ConsulProxy,
    private readonly ca: LocalCa,
  ) {
    proxy.set({
      applies: ({ url: { pathname } }) => pathname === ROOTS || pathname.startsWith(LEAF),
      answer: (held) => void this.answer(held).catch(() => held.outgoing.destroy()),
    });
  }

  static async start(agent: { readonly address: string }): Promise<ShortLivedAuthority> {
    const options = { trustDomain: TRUST_DOMAIN, datacenter: 'dc1', wallNow: () => Date.now() };
    const ca = await LocalCa.create(options);
    return new ShortLivedAuthority(await ConsulProxy.open({ agent }), ca);
  }

  get address(): string {
    return this.proxy.address;
  }

  /** Issues a new leaf to every service, which is told at once. Default lifetime: 1 h. */
  renew(lifetimeMs = HOUR_MS): void {
    this.lifetimeMs = lifetimeMs;
    this.leaves.clear();
    this.index += 1;
    this.proxy.again(({ url }) => url.pathname.startsWith(LEAF));
  }

  /** When the leaf that a service has now ends; epoch ms. */
  async notAfterMs(service: string): Promise<number> {
    return (await this.leaf(service)).notAfterMs;
  }

  stop(): Promise<void> {
    return this.proxy.close();
  }

  private leaf(service: string): Promise<IssuedLeaf> {
    const known = this.leaves.get(service) ?? this.ca.issueLeaf(service, this.lifetimeMs);
    this.leaves.set(service, known);
    return known;
  }

  private async answer(held: HeldRequest): Promise<void> {
    const { pathname } = held.url;
    const isLeaf = pathname.startsWith(LEAF);
    // Roots never change here.
    const index = String(isLeaf ? this.index : 10);
    const body = isLeaf ? await this.leafAnswer(pathname.slice(LEAF.length)) : this.rootsAnswer();
    const say = () => held.outgoing.writeHead(200, { 'x-consul-index': index }).end(JSON.stringify(body));
    // A leaf may have been issued meanwhile, and the request answered with that.
    if (held.outgoing.headersSent) return;
    answerAt(index, held, say, WAIT_MS);
  }

  private rootsAnswer(): object {
    const root = { ID: 'short', Name: 'short-lived', RootCert: this.ca.rootsPem, Active: true };
    return { ActiveRootID: root.ID, TrustDomain: TRUST_DOMAIN, Roots: [root] };
  }

  private async leafAnswer(service: string): Promise<object> {
    const { certChainPem, keyPem } = await this.leaf(service);
    return { CertPEM: certChainPem, PrivateKeyPEM: keyPem, Service: service };
  }
}
