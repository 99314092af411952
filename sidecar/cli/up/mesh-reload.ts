import { renameSync, writeFileSync } from 'node:fs';
import { loadMeshFile } from '../../config/file/load.js';
import type { MeshConfig } from '../../config/model.js';
import { formatProblems } from '../../config/problem.js';
import { stringifySidecar } from '../../config/stringify.js';
import type { Timer, Timers } from '../../runtime/time/timers.js';
import { IntentionsFailure } from '../consul/write-intentions.js';
import { oneLine } from '../failure.js';
import { shippedMeshes } from '../package-info.js';
import type { Fleet } from './fleet.js';
import type { WriteIntentions } from './mesh-consul.js';
import { calls, Move } from './move.js';
import type { SidecarSpec } from './plan.js';

export interface MeshReloadOptions {
  readonly file: string;
  readonly fleet: Fleet;
  readonly timers: Timers;
  /**
   * Plans a changed mesh; a sidecar that stays keeps its name, ports and folder. Throws when a port
   * is in use.
   */
  plan(mesh: MeshConfig): Promise<readonly SidecarSpec[]>;
  /** Throws when the runtime of a model is missing. */
  check(mesh: MeshConfig): void;
  /** Writes the intentions into an agent of our own; undefined: the file itself decides, or an agent that is not ours. */
  readonly writeIntentions: WriteIntentions | undefined;
  /** Called when another set of sidecars runs. */
  onSpecs(specs: readonly SidecarSpec[]): void;
  report(outcome: MeshReloadOutcome): void;
}

export type MeshReloadOutcome =
  | { readonly kind: 'refused'; readonly problem: string }
  /** Consul has taken some of the intentions, one sentence each, and nothing else has changed. */
  | { readonly kind: 'partly-taken'; readonly changed: readonly string[]; readonly problem: string }
  /**
   * `changed`: one sentence per sidecar, and per intention in Consul; `needsRestart`: changed options that take effect at the
   * next start of `up`.
   */
  | { readonly kind: 'taken'; readonly changed: readonly string[]; readonly needsRestart: readonly string[] };

/** A file whose intentions Consul could not take is tried again so long after, and twice as long each time. */
const AGAIN_MS = { first: 1_000, most: 30_000 } as const;

/** Options of a mesh file that a running `up` cannot change, by their names in the file. */
const FIXED_OPTIONS = {
  trust_domain: 'trustDomain',
  datacenter: 'datacenter',
  leaf_lifetime: 'leafLifetimeMs',
  run_dir: 'runDir',
  consul: 'consul',
} as const;

/**
 * Takes over a changed mesh file while the mesh runs, on SIGHUP and when the file changes. A file
 * that is invalid, or that needs a port in use, changes nothing. Where Consul could not take its intentions, it is tried again.
 *
 * Sidecars reload their own files; options that a reload does not take over restart the sidecar,
 * one sidecar at a time. Callers learn the new address of a replica before the next one moves. New replicas start before the caller's file lists them, and removed ones
 * end after it no longer does.
 */
export class MeshReload {
  private work = Promise.resolve();
  private again: Timer | undefined;
  private isClosed = false;
  /** What was said of the file, while it is tried again. */
  private reported: string | undefined;

  constructor(
    private mesh: MeshConfig,
    private readonly options: MeshReloadOptions,
  ) {}

  /** Reloads follow each other. Never rejects: what failed is reported. */
  reload(): Promise<void> {
    this.reported = undefined;
    return this.next(0);
  }

  /** Tries nothing again. */
  close(): void {
    this.isClosed = true;
    this.again?.cancel();
  }

  /** @param failures in a row of this file */
  private next(failures: number): Promise<void> {
    this.work = this.work.then(async () => {
      this.again?.cancel();
      await this.reloadNow().catch((error) => this.onFailure(error, failures));
    });
    return this.work;
  }

  private onFailure(error: unknown, failures: number): void {
    const { left, mayPass } =
      error instanceof IntentionsFailure ? error : { left: [] as readonly string[], mayPass: false };
    const problem = `${oneLine(error)}${mayPass ? '; it is tried again' : ''}`;
    this.reportOnce(
      left.length > 0 ? { kind: 'partly-taken', changed: left, problem } : { kind: 'refused', problem },
    );
    if (!mayPass || this.isClosed) return;
    const waitMs = Math.min(AGAIN_MS.most, AGAIN_MS.first * 2 ** Math.min(failures, 10));
    this.again = this.options.timers.after(waitMs, () => void this.next(failures + 1), { unref: true });
  }

  /** The same outcome of the same file is reported once. */
  private reportOnce(outcome: MeshReloadOutcome): void {
    const text = JSON.stringify(outcome);
    if (text !== this.reported) this.options.report(outcome);
    this.reported = text;
  }

  private async reloadNow(): Promise<void> {
    const { file, plan, check, report, writeIntentions } = this.options;
    const loaded = loadMeshFile(file, { models: 'directory', shipped: shippedMeshes() });
    if (!loaded.ok) return report({ kind: 'refused', problem: formatProblems(loaded.problems) });
    const { mesh, needsRestart } = keepFixedOptions(this.mesh, loaded.config, writeIntentions !== undefined);
    check(mesh);
    const specs = await plan(mesh);
    // Before any sidecar: one that is added may be called at once, and what is denied is denied first.
    const intentions = (await writeIntentions?.(mesh)) ?? [];
    this.mesh = mesh;
    report({ kind: 'taken', changed: [...intentions, ...(await this.apply(specs))], needsRestart });
    this.options.onSpecs(specs);
  }

  private async apply(specs: readonly SidecarSpec[]): Promise<string[]> {
    const { fleet } = this.options;
    const running = new Map(fleet.states.map(({ spec }) => [spec.name, spec]));
    const changes: string[] = [];
    for (const spec of specs.filter(({ name }) => !running.has(name)))
      await step(changes, spec.name, 'started', () => {
        writeSidecarFile(spec);
        fleet.add(spec);
        return 'started';
      });
    const update = async (spec: SidecarSpec): Promise<void> => {
      const now = fleet.states.find((state) => state.spec.name === spec.name)?.spec;
      if (now === undefined || stringifySidecar(now.config) === stringifySidecar(spec.config)) return;
      await step(changes, spec.name, 'changed', () => fleet.update(spec, () => writeSidecarFile(spec)));
    };
    const move = new Move(running, specs);
    for (let moved = move.next(); moved !== undefined; moved = move.next()) {
      await update(moved);
      for (const caller of specs) if (calls(caller, moved.name)) await update(move.sofar(caller));
    }
    for (const spec of specs) await update(spec);
    const wanted = new Set(specs.map(({ name }) => name));
    for (const name of [...running.keys()].filter((each) => !wanted.has(each))) {
      await fleet.remove(name);
      changes.push(`${name}: ended`);
    }
    return changes;
  }
}

/**
 * Adds what was done to one sidecar. What cannot be done to it, as on a full disk, is said too, and the others are changed all the same: the
 * next reload tries again.
 */
async function step(
  changes: string[],
  name: string,
  done: 'started' | 'changed',
  work: () => string | Promise<string>,
): Promise<void> {
  try {
    changes.push(`${name}: ${await work()}`);
  } catch (error) {
    changes.push(`${name}: not ${done}: ${oneLine(error)}`);
  }
}

/**
 * The changed mesh with the fixed options as they were, and the names of those that differ in the
 * file.
 *
 * @param writesIntentions a changed intention is written into Consul; else Consul's own apply.
 */
function keepFixedOptions(
  before: MeshConfig,
  next: MeshConfig,
  writesIntentions: boolean,
): { mesh: MeshConfig; needsRestart: string[] } {
  const needsRestart: string[] = [];
  let mesh = next;
  const keep = (name: string, key: keyof MeshConfig): void => {
    if (JSON.stringify(before[key]) === JSON.stringify(next[key])) return;
    needsRestart.push(name);
    const { [key]: _, ...rest } = mesh;
    mesh = { ...rest, ...(before[key] === undefined ? {} : { [key]: before[key] }) } as MeshConfig;
  };
  for (const [name, key] of Object.entries(FIXED_OPTIONS)) keep(name, key);
  // The name of the caller is the key of its sidecar here and its identity to peers.
  if (before.caller.name !== next.caller.name) {
    needsRestart.push('caller.name');
    mesh = { ...mesh, caller: { ...mesh.caller, name: before.caller.name } };
  }
  if (before.consul?.intentions === true && !writesIntentions) {
    keep('intentions', 'intentions');
    keep('default_intention', 'defaultIntention');
  }
  return { mesh, needsRestart };
}

/**
 * Writes a sidecar file. The rename makes the change whole for the sidecar, which watches the file.
 */
export function writeSidecarFile({ file, config }: SidecarSpec): void {
  const next = `${file}.next`;
  writeFileSync(next, stringifySidecar(config), { mode: 0o600 });
  renameSync(next, file);
}
