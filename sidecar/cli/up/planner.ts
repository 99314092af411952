/** Plans one mesh again and again: what stays of it keeps its ports, its folders and its certificates. */

import type { ConsulConfig, MeshConfig } from '../../config/model.js';
import type { LeafRenewal } from '../../identity/ca/leaf-renewal.js';
import type { IdentityPaths } from '../../identity/sources/secret-files.js';
import { planMesh, type SidecarSpec } from './plan.js';
import { PortAllocator } from './port-allocator.js';
import type { RunDirectory } from './run-directory.js';

export interface PlannerOptions {
  readonly run: RunDirectory;
  readonly consul?: ConsulConfig;
  /** Absent where Consul issues certificates. */
  readonly issuer: LeafRenewal | undefined;
  /** argv that runs this program. */
  readonly self: readonly string[];
}

export class Planner {
  private readonly ports = new PortAllocator();
  private readonly issued = new Map<string, Promise<IdentityPaths>>();

  constructor(private readonly options: PlannerOptions) {}

  /** Ports that it found or claimed are free again when this resolves, and soon in use. Throws when one is taken. */
  async plan(mesh: MeshConfig): Promise<SidecarSpec[]> {
    const { run, consul, self } = this.options;
    try {
      const issue = (service: string, instance: string) => this.issue(service, instance);
      const whom = consul === undefined ? {} : { consul };
      return await planMesh({ mesh, run, ports: this.ports, issue, self, ...whom });
    } catch (error) {
      this.ports.discard();
      throw error;
    } finally {
      await this.ports.release();
    }
  }

  private issue(service: string, instance: string): Promise<IdentityPaths> {
    const known = this.issued.get(instance);
    if (known !== undefined) return known;
    const paths = this.options.issuer!.add(service, instance);
    this.issued.set(instance, paths);
    return paths;
  }
}
