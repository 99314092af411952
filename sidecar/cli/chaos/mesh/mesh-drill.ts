/** What a drill on a running mesh is: one thing that a replica suffers, for a while, by way of the admin ports. */

import type { MarkKind } from '../history/record.js';
import type { MeshControl } from './control.js';
import type { Replica } from './members.js';
import type { Need } from './permission.js';

/** What a drill acts on. */
export interface MeshStage {
  readonly control: MeshControl;
  readonly replicas: readonly Replica[];
  /** The replica that most faults are about. */
  readonly victim: Replica;
  /** Median time of the calls before the fault, ms. */
  readonly usualMs: number;
  /** How long the fault lasts, ms. */
  readonly faultMs: number;
  mark(kind: MarkKind, text: string, replica?: string): void;
  /** Rejects when the drill has to stop, or the command was asked to end. */
  sleep(ms: number): Promise<void>;
  /** Resolves when every replica serves and gets calls; rejects where that takes too long. */
  untilWhole(): Promise<void>;
}

export interface MeshDrill {
  /** As on the command line, and as the drill of the same kind on a mesh of our own. */
  readonly name: string;
  readonly title: string;
  /** One sentence: what is done to what, and for how long. */
  readonly does: string;
  /** What the mesh has to allow. */
  readonly needs: Need;
  /** How long the fault lasts, ms; default {@link FAULT_MS}. */
  readonly faultMs?: number;
  /** Brings the fault about. What it injected is ended by the runner, in any case. */
  begin(stage: MeshStage): Promise<void>;
}

/** Length of most faults, ms. */
export const FAULT_MS = 5_000;
