import type { MeshConfig } from '../../config/model.js';
import type { LeafRenewal } from '../../identity/ca/leaf-renewal.js';
import type { IdentityPaths } from '../../identity/identity.js';
import { type PlanInput, planMesh, type SidecarSpec } from './plan.js';
import { PortAllocator } from './port-allocator.js';

/** What stays the same from plan to plan. */
export interface PlannerOptions extends Pick<PlanInput, 'run' | 'consul' | 'self'> {
  /** Local certificate authority; undefined where Consul issues certificates. */
  readonly issuer: Pick<LeafRenewal, 'add' | 'remove'> | undefined;
  /** A port that is taken is replaced by a free one. */
  readonly freePorts: boolean;
}

/**
 * Plans a mesh at start and again after each change of its file. A sidecar that is in both plans
 * keeps its ports, its folder and its certificate.
 */
export class Planner {
  private readonly ports: PortAllocator;
  private readonly issued = new Map<string, Promise<IdentityPaths>>();
  /** Certificates that are being removed: the same name may come again. */
  private removed: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: PlannerOptions) {
    this.ports = new PortAllocator(options.freePorts ? 'replace-taken' : 'exact');
  }

  /**
   * Ports are released when this resolves, and reserved until a plan no longer has them.
   *
   * @throws CommandFailure for a port in use; the plan before it stays valid.
   */
  async plan(mesh: MeshConfig): Promise<SidecarSpec[]> {
    const { ports, options } = this;
    try {
      const issue = (service: string, instance: string) => this.issue(service, instance);
      const specs = await planMesh({ ...options, mesh, ports, issue });
      ports.commit();
      return specs;
    } catch (error) {
      ports.discard();
      throw error;
    } finally {
      await ports.release();
    }
  }

  /** Forgets the certificates of sidecars that are gone: `names` are all that there are. */
  retain(names: readonly string[]): void {
    const gone = [...this.issued.keys()].filter((each) => !names.includes(each));
    for (const each of gone) this.issued.delete(each);
    const removals = gone.map((each) => this.options.issuer?.remove(each));
    this.removed = Promise.all([this.removed, ...removals]);
  }

  /** Gives up all ports, once no sidecar runs. */
  close(): Promise<void> {
    return this.ports.close();
  }

  private issue(service: string, instance: string): Promise<IdentityPaths> {
    const known = this.issued.get(instance);
    if (known !== undefined) return known;
    const paths = this.removed.then(() => this.options.issuer!.add(service, instance));
    this.issued.set(instance, paths);
    // The next plan tries again.
    paths.catch(() => this.issued.delete(instance));
    return paths;
  }
}
