/**
 * A small Connect mesh for the interop tests: a Consul agent, our sidecars with certificates of its authority, the
 * intentions both kinds of peers enforce, and the programs of others that a test adds.
 *
 * What our sidecars take from Consul and what from their files is the mode's business, so that every test runs in all.
 */

import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { Address } from '../../../sidecar/config/model.js';
import { ConsulServer, consulOrSkip } from '../consul/consul.js';
import { EFFORT } from '../mocha/effort.js';
import { until } from '../process/processes.js';
import { SidecarBench, type SidecarFile, type SidecarProcess } from '../process/sidecars.js';
import { type Program, portOf } from './programs.js';

/** Which service may call which; no other may. Consul's form. */
export interface Rule {
  readonly from: string;
  readonly to: string;
  readonly action: 'allow' | 'deny';
}

/** Where our sidecars get identity, peers and intentions from. */
export interface Mode {
  readonly name: string;
  /** The part of a sidecar's file about its identity. */
  self(mesh: ConnectMesh, service: string): Promise<SidecarFile>;
  /** The part of `inbound` about its callers. */
  intentions(rules: readonly Rule[]): SidecarFile;
  /** The part of an upstream that says where its instances are; all are in the catalogue too. */
  instances(addresses: readonly Address[]): SidecarFile;
  /** Our sidecars enter themselves into the catalogue. */
  readonly registers: boolean;
}

export const MODES: readonly Mode[] = [
  {
    name: 'everything in its file',
    async self(mesh, service) {
      return { trust_domain: mesh.trustDomain, identity: await mesh.identityFiles(service) };
    },
    intentions: (rules) => ({ intentions: rules }),
    instances: (addresses) => ({ endpoints: addresses.map(writeAddress) }),
    registers: false,
  },
  {
    name: 'everything from Consul',
    // No peer learns of the end of these sidecars, so they drain at once.
    self: (mesh) =>
      Promise.resolve({ consul: { address: mesh.consul.url, registration: { propagation: '0s' } } }),
    intentions: () => ({}),
    instances: () => ({ consul: {} }),
    registers: true,
  },
];

/** By day the mode in which more has to agree with the others; by night both. */
export const TRIED_MODES = EFFORT > 1 ? MODES : MODES.slice(-1);

/** A leaf of Connect's authority and the roots, as PEM. The leaf holds its intermediates. */
export type Leaf = Readonly<Record<'uri' | 'cert' | 'key' | 'roots', string>>;

type RootsAnswer = { readonly TrustDomain: string; readonly Roots: readonly { readonly RootCert: string }[] };
type LeafAnswer = Readonly<Record<'CertPEM' | 'PrivateKeyPEM' | 'ServiceURI', string>>;
type Instance = { readonly Service: { readonly Port: number } };

type Served = { readonly name: string; readonly file: SidecarFile; readonly inbound: SidecarFile };

export class ConnectMesh {
  private readonly programs: Program[] = [];
  private readonly intentionIds = new Map<string, string>();
  private rules: readonly Rule[] = [];
  private readonly served: Served[] = [];

  private constructor(
    readonly consulBinary: string,
    readonly consul: ConsulServer,
    private readonly bench: SidecarBench,
    private readonly roots: RootsAnswer,
    readonly mode: Mode,
  ) {}

  /** For `before` hooks: only calls that `rules` name are allowed. Skips where there is no Consul. */
  static async open(context: Mocha.Context, mode: Mode, rules: readonly Rule[]): Promise<ConnectMesh> {
    const { path: binary } = await consulOrSkip(context);
    const consul = await ConsulServer.start();
    const bench = await SidecarBench.open();
    const roots = await consul.api<RootsAnswer>('GET', '/agent/connect/ca/roots');
    const mesh = new ConnectMesh(binary, consul, bench, roots, mode);
    await mesh.setIntentions([{ from: '*', to: '*', action: 'deny' }, ...rules]);
    return mesh;
  }

  /** What Consul's own commands need to reach the agent. */
  consulEnvironment(): Readonly<Record<string, string>> {
    const { address, token } = this.consul;
    return { CONSUL_HTTP_ADDR: address, ...(token === undefined ? {} : { CONSUL_HTTP_TOKEN: token }) };
  }

  get trustDomain(): string {
    return this.roots.TrustDomain;
  }

  /** The name a client asks for in its TLS hello, in Consul's form. */
  sni(service: string): string {
    return `${service}.default.dc1.internal.${this.trustDomain}`;
  }

  /** Puts the rules into Consul, changing those that are there, and into the files of sidecars that go by their files. */
  async setIntentions(rules: readonly Rule[]): Promise<void> {
    for (const { from, to, action } of rules) {
      const body = { SourceName: from, DestinationName: to, SourceType: 'consul', Action: action };
      const id = this.intentionIds.get(`${from} ${to}`);
      if (id !== undefined) await this.consul.api('PUT', `/connect/intentions/${id}`, body);
      else {
        const made = await this.consul.api<{ ID: string }>('POST', '/connect/intentions', body);
        this.intentionIds.set(`${from} ${to}`, made.ID);
      }
    }
    const isChanged = (rule: Rule): boolean =>
      rules.some(({ from, to }) => from === rule.from && to === rule.to);
    this.rules = [...this.rules.filter((rule) => !isChanged(rule)), ...rules];
    if (!this.mode.registers) for (const one of this.served) await this.rewrite(one);
  }

  async leaf(service: string): Promise<Leaf> {
    const leaf = await this.consul.api<LeafAnswer>('GET', `/agent/connect/ca/leaf/${service}`);
    const roots = this.roots.Roots.map((root) => root.RootCert).join('\n');
    return { uri: leaf.ServiceURI, cert: leaf.CertPEM, key: leaf.PrivateKeyPEM, roots };
  }

  /** The leaf and the roots in files, as a sidecar's `identity`. */
  async identityFiles(service: string): Promise<SidecarFile> {
    const { cert, key, roots } = await this.leaf(service);
    const file = (kind: string, pem: string): Promise<string> => this.file(`${service}-${kind}.pem`, pem);
    return { cert: await file('cert', cert), key: await file('key', key), roots: await file('roots', roots) };
  }

  /** Enters a proxy of `service` into the catalogue, so that peers that look there find it. */
  async register(service: string, address: Address, id = `${service}-announced`): Promise<void> {
    const place = { Address: '127.0.0.1', Port: portOf(address) };
    const proxy = { Kind: 'connect-proxy', Proxy: { DestinationServiceName: service } };
    const body = { ID: id, Name: `${service}-sidecar-proxy`, ...place, ...proxy };
    await this.consul.api('PUT', '/agent/service/register', body);
  }

  /** Our sidecar beside `service`, which is at `local`; in the catalogue, and ready. `name`: where there are several. */
  async serve(service: string, local: Address, name = `${service}-inbound`): Promise<SidecarProcess> {
    const file = { service, ...(await this.mode.self(this, service)) };
    const queue = { concurrency: 64, max_waiting: 4096, max_waiting_bytes: '1GiB' };
    const inbound = { listen: '127.0.0.1:0', local: writeAddress(local), queue };
    const rules = this.mode.intentions(this.rules);
    const sidecar = await this.bench.start(name, { ...file, inbound: { ...inbound, ...rules } });
    this.served.push({ name, file, inbound });
    await sidecar.ready();
    if (!this.mode.registers) await this.register(service, sidecar.address('inbound'), name);
    await until(`${name} passes in the catalogue`, () => this.isPassing(service, sidecar.address('inbound')));
    return sidecar;
  }

  private async isPassing(service: string, address: Address): Promise<boolean> {
    const found = await this.consul.api<readonly Instance[]>('GET', `/health/connect/${service}?passing`);
    return found.some((instance) => instance.Service.Port === portOf(address));
  }

  /** Says the rules as they are now in the file of a running sidecar, which follows it. */
  private async rewrite({ name, file, inbound }: Served): Promise<void> {
    const rules = this.mode.intentions(this.rules);
    const next = { admin: '127.0.0.1:0', log: { level: 'warn' }, ...file, inbound: { ...inbound, ...rules } };
    const written = await this.file(`${name}.next`, JSON.stringify(next));
    await rename(written, path.join(this.bench.directory, `${name}.yaml`));
  }

  /** Our sidecar beside a caller. `instances`: where `upstream` is; each must be in the catalogue. */
  async call(
    service: string,
    upstream: string,
    instances: readonly Address[],
  ): Promise<{ readonly sidecar: SidecarProcess; readonly target: Address }> {
    const upstreams = { [upstream]: { listen: '127.0.0.1:0', ...this.mode.instances(instances) } };
    const file = { service, ...(await this.mode.self(this, service)), outbound: { upstreams } };
    const sidecar = await this.bench.start(`${service}-outbound-${this.bench.processes.length}`, file);
    return { sidecar, target: sidecar.address(`upstream ${upstream}`) };
  }

  /** A file of this mesh, in its private directory. */
  async file(name: string, text: string): Promise<string> {
    const where = path.join(this.bench.directory, name);
    await writeFile(where, text, { mode: 0o600 });
    return where;
  }

  /** A program that ends with the mesh at the latest. */
  own(program: Program): Program {
    this.programs.push(program);
    return program;
  }

  async close(): Promise<void> {
    await Promise.all(this.programs.map((program) => program.stop()));
    await this.bench.close();
    await this.consul.stop();
  }
}
