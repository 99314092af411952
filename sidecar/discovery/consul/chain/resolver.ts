import { defined } from '../../../config/present.js';
import { MAIN_CLUSTER } from '../../snapshot.js';
import type { Target } from '../catalog/target.js';
import { type Json, listIn, objectIn, quote, textIn } from '../parser/json-fields.js';
import { type Chain, type ChainNode, type ChainTarget, durationIn, unknownIn } from './chain-json.js';

/** A cluster of a discovery chain. */
export interface ClusterPlan {
  /** Used in this order, each while none before it has a healthy instance. */
  readonly targets: readonly Target[];
  /** Absent: Consul's default, which no entry asks for. */
  readonly connectTimeoutMs?: number;
  readonly requestTimeoutMs?: number;
  /** Metadata key that calls stick by. */
  readonly hashKey?: string;
}

/** What Consul gives where no entry sets it. */
const DEFAULT_CONNECT_TIMEOUT_MS = 5_000;
const MAX_TARGETS = 32;

/** What is read of each part of a resolver, or says nothing of where calls go. */
const KNOWN = {
  resolver: new Set(['Default', 'ConnectTimeout', 'RequestTimeout', 'Target', 'Failover']),
  failover: new Set(['Targets', 'Policy']),
  target: new Set([
    ...[
      'ID',
      'Name',
      'SNI',
      'Service',
      'ServiceSubset',
      'Subset',
      'Datacenter',
      'ConnectTimeout',
      'Locality',
    ],
    ...['Namespace', 'Partition', 'Peer', 'External', 'MeshGateway', 'TransparentProxy'],
  ]),
  balancer: new Set(['Policy', 'HashPolicies']),
} as const;

/** Reads the resolvers of a discovery chain into clusters, each with its targets in the order of failover. */
export class ClusterReader {
  readonly plans = new Map<string, ClusterPlan>();

  constructor(
    private readonly chain: Chain,
    private readonly refuse: (sentence: string) => void,
  ) {}

  /** The name of a resolver's cluster. */
  read(node: ChainNode): string {
    const resolver = objectIn(node.json, 'Resolver');
    const target = this.chain.target(textIn(resolver, 'Target'));
    const name = this.nameOf(target, node);
    if (this.plans.has(name)) return name;
    const where = `service-resolver ${quote(target.service)}`;
    const failover = objectIn(resolver, 'Failover');
    this.refuseUnknown(where, resolver, KNOWN.resolver);
    this.refuseUnknown(`${where}: Failover`, failover, KNOWN.failover);
    if (unknownIn(objectIn(failover, 'Policy'), new Set()).length > 0)
      this.refuse(`${where}: Failover.Policy is not applied, targets are used in their order.`);
    const ids = listIn(failover, 'Targets').slice(0, MAX_TARGETS);
    const targets = [target, ...ids.map((id) => this.chain.target(String(id)))];
    const connectTimeoutMs = durationIn(resolver, 'ConnectTimeout') ?? DEFAULT_CONNECT_TIMEOUT_MS;
    const requestTimeoutMs = durationIn(resolver, 'RequestTimeout');
    const hashKey = this.hashKeyOf(objectIn(node.json, 'LoadBalancer'), where);
    this.plans.set(name, {
      targets: targets.filter((each) => this.isReachable(each)).map((each) => this.targetOf(each)),
      ...(connectTimeoutMs === DEFAULT_CONNECT_TIMEOUT_MS ? {} : { connectTimeoutMs }),
      ...defined({ requestTimeoutMs, hashKey }),
    });
    return name;
  }

  /**
   * The service itself, no subset, where the chain is for: the cluster that is there without any rules, so that rules come and go
   * without new connections.
   */
  private nameOf(target: ChainTarget, node: ChainNode): string {
    const isMain =
      target.service === this.chain.service &&
      target.datacenter === this.chain.datacenter &&
      target.subset === '' &&
      textIn(target.json, 'Peer') === '';
    return isMain ? MAIN_CLUSTER : node.name;
  }

  private targetOf(target: ChainTarget): Target {
    const { service, datacenter, subset, filter } = target;
    const { isHere } = this.chain;
    return {
      service,
      ...(datacenter === '' || (isHere && datacenter === this.chain.datacenter) ? {} : { datacenter }),
      ...(filter === '' ? {} : { filter }),
      ...(target.onlyPassing ? { onlyPassing: true } : {}),
      ...(subset === '' ? {} : { subset }),
    };
  }

  /** Whether connections to the target are possible; reports what is not applied to them. */
  private isReachable(target: ChainTarget): boolean {
    const where = `service-resolver ${quote(target.service)}, target ${quote(target.id)}`;
    const isForeign = (field: string): boolean => !['', 'default'].includes(textIn(target.json, field));
    if (isForeign('Namespace') || isForeign('Partition') || textIn(target.json, 'Peer') !== '') {
      this.refuse(`${where} is left out: namespaces, partitions and cluster peers cannot be reached.`);
      return false;
    }
    if (target.json['External'] === true)
      this.refuse(`${where}: its ExternalSNI and terminating gateway are not used.`);
    const mode = textIn(objectIn(target.json, 'MeshGateway'), 'Mode');
    this.refuseUnknown(where, target.json, KNOWN.target);
    const isElsewhere = !this.chain.isHere || target.datacenter !== this.chain.datacenter;
    if (isElsewhere && (mode === 'local' || mode === 'remote'))
      this.refuse(`${where}: MeshGateway.Mode ${quote(mode)} is not applied, connections are direct.`);
    return true;
  }

  private hashKeyOf(balancer: Json | undefined, where: string): string | undefined {
    const policy = textIn(balancer, 'Policy');
    this.refuseUnknown(`${where}: LoadBalancer`, balancer, KNOWN.balancer);
    if (policy === '' || policy === 'least_request') return undefined;
    if (policy !== 'ring_hash' && policy !== 'maglev') {
      this.refuse(
        `${where}: LoadBalancer.Policy ${quote(policy)} is not applied, the sidecar's file says how.`,
      );
      return undefined;
    }
    let key: string | undefined;
    for (const each of listIn(balancer, 'HashPolicies')) {
      const header = textIn(each, 'Field') === 'header' ? textIn(each, 'FieldValue').toLowerCase() : '';
      if (header !== '' && key === undefined) key = header;
      else this.refuse(`${where}: of LoadBalancer.HashPolicies only the first header is applied.`);
    }
    return key;
  }

  /** Reports the fields that are not read: those of later versions too. @param where ends with the part that they are in, or with none. */
  private refuseUnknown(where: string, json: Json | undefined, known: ReadonlySet<string>): void {
    for (const field of unknownIn(json, known))
      this.refuse(`${where}${where.includes(': ') ? '.' : ': '}${field} is not applied.`);
  }
}
