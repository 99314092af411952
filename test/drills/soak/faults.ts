/** What happens to the mesh of a soak: one thing after the other, by chance, each at a replica while all others serve. */

import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { askMember, MeshControl } from '../../../sidecar/cli/chaos/mesh/control.js';
import { untilWhole } from '../../../sidecar/cli/chaos/mesh/guard.js';
import { type Members, membersOf, type Replica } from '../../../sidecar/cli/chaos/mesh/members.js';
import { watchOf } from '../../../sidecar/cli/chaos/mesh/run-mesh-drill.js';
import { readAddress } from '../../../sidecar/config/codecs/address.js';
import type { Random } from '../../../sidecar/runtime/random.js';
import type { Mesh, UpFacts } from '../../kit/process/outrider.js';
import { SERVICE } from './mesh-file.js';

const FAULT_MS = 5_000;
const DELAY_MS = 200;

/** What may happen. `sidecar-killed`: SIGKILL, so that its models end too. */
export const FAULTS = [
  ...(['model-killed', 'model-frozen', 'errors', 'delay'] as const),
  ...(['sidecar-killed', 'restarted', 'reloaded'] as const),
] as const;
export type Fault = (typeof FAULTS)[number];

/** Breaks and changes one mesh. */
export class SoakFaults {
  readonly counts = new Map<Fault, number>();
  private reloads = 0;

  private constructor(
    private readonly mesh: Mesh,
    private readonly random: Random,
    private readonly members: Members,
    private readonly control: MeshControl,
    private readonly file: { readonly path: string; readonly text: (reload: number) => string },
  ) {}

  /** @param file where the mesh file lies, and its text after so many reloads */
  static async of(mesh: Mesh, facts: UpFacts, file: SoakFaults['file'], random: Random): Promise<SoakFaults> {
    const reports = await Promise.all(
      facts.sidecars.map(({ admin }) => {
        const address = readAddress(admin);
        if (!address.ok) throw new Error(`${admin} is no address`);
        return askMember(address.value);
      }),
    );
    const members = membersOf(reports, SERVICE);
    return new SoakFaults(mesh, random, members, new MeshControl(members, undefined), file);
  }

  /** Resolves when every replica serves and gets calls. @throws Error where that takes three minutes. */
  whole(): Promise<void> {
    return untilWhole(watchOf({ control: this.control, sleep: delay }));
  }

  /** Waits until the mesh is whole, and does one thing. @returns what, in words */
  async strike(): Promise<string> {
    await this.whole();
    const fault = FAULTS[Math.floor(this.random() * FAULTS.length)]!;
    // The last replica keeps its sidecar: what it holds is watched.
    const { replicas } = this.members;
    const within =
      fault === 'sidecar-killed' || fault === 'restarted' ? replicas.length - 1 : replicas.length;
    const victim = replicas[Math.floor(this.random() * within)]!;
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
    await this.does(fault, victim);
    return fault === 'reloaded' ? fault : `${fault} ${victim.name}`;
  }

  private does(fault: Fault, victim: Replica): Promise<void> {
    const { control } = this;
    switch (fault) {
      case 'model-killed':
        return control.kill(victim);
      case 'model-frozen':
        return control.freeze(victim, FAULT_MS);
      case 'errors':
        return control.fail(victim, FAULT_MS);
      case 'delay':
        return control.delay(victim, DELAY_MS, FAULT_MS);
      case 'sidecar-killed':
        process.kill(this.mesh.pidOf(victim.name), 'SIGKILL');
        return Promise.resolve();
      case 'restarted':
        return control.restart(victim);
      case 'reloaded':
        writeFileSync(this.file.path, this.file.text(++this.reloads));
        return Promise.resolve();
    }
  }
}
