/**
 * Stands before an agent and signs Connect's certificates in its place, with any length of life: Consul's own live for
 * an hour at least. Everything else is the agent's answer.
 */

import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
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
  private readonly waiting = new Set<() => void>();
  private lifetimeMs = HOUR_MS;
  private index = 10;
  private readonly server = createServer(
    (incoming, outgoing) => void this.take(incoming, outgoing).catch(() => outgoing.destroy()),
  );

  private constructor(
    private readonly agent: { readonly address: string },
    private readonly ca: LocalCa,
  ) {}

  static async start(agent: { readonly address: string }): Promise<ShortLivedAuthority> {
    const options = { trustDomain: TRUST_DOMAIN, datacenter: 'dc1', wallNow: () => Date.now() };
    const authority = new ShortLivedAuthority(agent, await LocalCa.create(options));
    authority.server.listen(0, '127.0.0.1');
    await once(authority.server, 'listening');
    return authority;
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Issues a new leaf to every service, which is told at once. Default lifetime: 1 h. */
  renew(lifetimeMs = HOUR_MS): void {
    this.lifetimeMs = lifetimeMs;
    this.leaves.clear();
    this.index += 1;
    for (const wake of this.waiting) wake();
  }

  /** When the leaf that a service has now ends; epoch ms. */
  async notAfterMs(service: string): Promise<number> {
    return (await this.leaf(service)).notAfterMs;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private leaf(service: string): Promise<IssuedLeaf> {
    const known = this.leaves.get(service) ?? this.ca.issueLeaf(service, this.lifetimeMs);
    this.leaves.set(service, known);
    return known;
  }

  private async take(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(incoming.url ?? '/', 'http://localhost');
    const isLeaf = pathname.startsWith(LEAF);
    if (!isLeaf && pathname !== ROOTS) return this.forward(incoming, outgoing);
    // Roots never change here.
    const index = () => String(isLeaf ? this.index : 10);
    if (searchParams.get('index') === index()) await this.change(outgoing);
    const body = isLeaf ? await this.leafAnswer(pathname.slice(LEAF.length)) : this.rootsAnswer();
    outgoing.writeHead(200, { 'x-consul-index': index() }).end(JSON.stringify(body));
  }

  private change(outgoing: ServerResponse): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, WAIT_MS);
      this.waiting.add(wake);
      outgoing.once('close', wake);
    });
  }

  private rootsAnswer(): object {
    const root = { ID: 'short', Name: 'short-lived', RootCert: this.ca.rootsPem, Active: true };
    return { ActiveRootID: root.ID, TrustDomain: TRUST_DOMAIN, Roots: [root] };
  }

  private async leafAnswer(service: string): Promise<object> {
    const { certChainPem, keyPem } = await this.leaf(service);
    return { CertPEM: certChainPem, PrivateKeyPEM: keyPem, Service: service };
  }

  private forward(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method = 'GET', headers, url = '/' } = incoming;
    const upstream = request(`http://${this.agent.address}${url}`, { method, headers, agent: false });
    outgoing.once('close', () => upstream.destroy());
    upstream.on('error', () => outgoing.destroy());
    upstream.on('response', (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.on('error', () => outgoing.destroy()).pipe(outgoing);
    });
    incoming.pipe(upstream);
  }
}
