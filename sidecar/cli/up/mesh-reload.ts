/**
 * Takes over a changed mesh file while the mesh runs, on SIGHUP and when the file changes. A file that is not valid, or
 * whose ports are taken, changes nothing.
 *
 * Most of a change reaches sidecars through their files, which they reload by themselves; what only a restart takes over
 * becomes a planned restart of the sidecars concerned, one after the other. New replicas start before the caller hears of
 * them, and those that are gone end after it has. What `up` itself was started with stays, and is named.
 */

import { renameSync, writeFileSync } from 'node:fs';
import { loadMeshFile } from '../../config/file/load.js';
import type { MeshConfig } from '../../config/model.js';
import { stringifySidecar } from '../../config/stringify.js';
import { oneLine } from '../failure.js';
import { problemsText } from '../settings.js';
import type { Fleet } from './fleet.js';
import type { SidecarSpec } from './plan.js';

export interface MeshReloadOptions {
  readonly file: string;
  readonly fleet: Fleet;
  /** Specs of a changed mesh: those that stay keep their names, ports and folders. Throws when a port is not to be had. */
  plan(mesh: MeshConfig): Promise<readonly SidecarSpec[]>;
  /** Throws when models are not there. */
  check(mesh: MeshConfig): void;
  /** Another set of specs runs now. */
  onSpecs(specs: readonly SidecarSpec[]): void;
  report(outcome: MeshReloadOutcome): void;
}

export type MeshReloadOutcome =
  | { readonly kind: 'refused'; readonly problem: string }
  /** `changed`, one sentence each; `needsRestart`: options that only another start of `up` takes over. */
  | { readonly kind: 'taken'; readonly changed: readonly string[]; readonly needsRestart: readonly string[] };

export class MeshReload {
  private work = Promise.resolve();

  constructor(
    private mesh: MeshConfig,
    private readonly options: MeshReloadOptions,
  ) {}

  /** Never rejects; one at a time. */
  reload(): Promise<void> {
    this.work = this.work.then(() =>
      this.reloadNow().catch((error) => this.options.report({ kind: 'refused', problem: oneLine(error) })),
    );
    return this.work;
  }

  private async reloadNow(): Promise<void> {
    const { file, plan, check, report } = this.options;
    const loaded = loadMeshFile(file);
    if (!loaded.ok) return report({ kind: 'refused', problem: problemsText(loaded.problems) });
    const { mesh, needsRestart } = withWhatStays(this.mesh, loaded.config);
    check(mesh);
    const specs = await plan(mesh);
    this.mesh = mesh;
    report({ kind: 'taken', changed: await this.apply(specs), needsRestart });
    this.options.onSpecs(specs);
  }

  private async apply(specs: readonly SidecarSpec[]): Promise<string[]> {
    const { fleet } = this.options;
    const running = new Map(fleet.states.map(({ spec }) => [spec.name, spec]));
    const said: string[] = [];
    for (const spec of specs.filter(({ name }) => !running.has(name))) {
      write(spec);
      fleet.add(spec);
      said.push(`${spec.name}: started`);
    }
    for (const spec of specs) {
      const before = running.get(spec.name);
      if (before === undefined || textOf(before) === textOf(spec)) continue;
      said.push(`${spec.name}: ${await fleet.update(spec, () => write(spec))}`);
    }
    const wanted = new Set(specs.map(({ name }) => name));
    for (const name of [...running.keys()].filter((each) => !wanted.has(each))) {
      await fleet.remove(name);
      said.push(`${name}: ended`);
    }
    return said;
  }
}

/** The next mesh with what a running `up` cannot change as it was, and the names of those options that differ. */
function withWhatStays(before: MeshConfig, next: MeshConfig): { mesh: MeshConfig; needsRestart: string[] } {
  const options = {
    trust_domain: 'trustDomain',
    datacenter: 'datacenter',
    leaf_lifetime: 'leafLifetimeMs',
    run_dir: 'runDir',
    consul: 'consul',
  } as const;
  const needsRestart: string[] = [];
  let mesh = next;
  const keep = (name: string, key: keyof MeshConfig): void => {
    if (JSON.stringify(before[key]) === JSON.stringify(next[key])) return;
    needsRestart.push(name);
    const { [key]: _, ...rest } = mesh;
    mesh = { ...rest, ...(before[key] === undefined ? {} : { [key]: before[key] }) } as MeshConfig;
  };
  for (const [name, key] of Object.entries(options)) keep(name, key);
  // The caller is known by its name, to `up` as to its peers.
  if (before.caller.name !== next.caller.name) {
    needsRestart.push('caller.name');
    mesh = { ...mesh, caller: { ...mesh.caller, name: before.caller.name } };
  }
  if (before.consul?.intentions === true) {
    keep('intentions', 'intentions');
    keep('default_intention', 'defaultIntention');
  }
  return { mesh, needsRestart };
}

function textOf(spec: SidecarSpec): string {
  return stringifySidecar(spec.config);
}

/** Whole or not at all: its sidecar watches the file. */
function write(spec: SidecarSpec): void {
  const next = `${spec.file}.next`;
  writeFileSync(next, textOf(spec), { mode: 0o600 });
  renameSync(next, spec.file);
}
