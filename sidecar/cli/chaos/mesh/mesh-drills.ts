/**
 * The drills that are held on a mesh which others use: one replica at a time suffers something that it has to survive in any week, by
 * way of the admin ports. What breaks all replicas, takes memory or needs a model that is told to misbehave is left to a mesh of our own.
 */

import type { DrillText, MarkKind } from '../history/record.js';
import type { MeshControl } from './control.js';
import type { Replica } from './members.js';
import type { Need } from './permission.js';

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

/** Its name is that of the drill of the same kind on a mesh of our own. */
export interface MeshDrill extends DrillText {
  readonly needs: Need;
  /** How long the fault lasts, ms; default {@link FAULT_MS}. */
  readonly faultMs?: number;
  /** Brings the fault about. What it injected is ended by the runner, in any case. */
  begin(stage: MeshStage): Promise<void>;
}

/** Length of most faults, ms. */
export const FAULT_MS = 5_000;

/** Ten times as long as usual, within these bounds, ms. */
const SLOW_MS = { least: 50, most: 2_000 };
const DELAY_MS = 100;
const FLAP_MS = 500;
const FLAPS = 5;

/** All of them, in the order in which they run. */
export const MESH_DRILLS: readonly MeshDrill[] = [
  {
    name: 'delay',
    title: 'Calls to one replica take 100 ms longer',
    does: 'The sidecar of one replica keeps each call of the caller for 100 ms, for 5 s.',
    needs: 'calls',
    begin: ({ control, victim, faultMs }) => control.delay(victim, DELAY_MS, faultMs),
  },
  {
    name: 'slow',
    title: 'One replica is ten times slower',
    does: 'The sidecar of one replica keeps each call of the caller for nine times the usual time (50 ms at least, 2 s at most), for 5 s.',
    needs: 'calls',
    begin: ({ control, victim, faultMs, usualMs }) => {
      const delayMs = Math.round(Math.min(SLOW_MS.most, Math.max(SLOW_MS.least, 9 * usualMs)));
      return control.delay(victim, delayMs, faultMs);
    },
  },
  {
    name: 'error-burst',
    title: 'One replica fails every call',
    does: 'The sidecar of one replica answers each call of the caller with UNAVAILABLE at once, for 5 s.',
    needs: 'calls',
    begin: ({ control, victim, faultMs }) => control.fail(victim, faultMs),
  },
  {
    name: 'flapping',
    title: 'One replica fails and recovers in turn',
    does: 'The sidecar of one replica fails every call of the caller for 0.5 s and lets them pass for 0.5 s, in turn, for 5 s.',
    needs: 'calls',
    faultMs: 0,
    begin: async ({ control, victim, sleep }) => {
      for (let i = 0; i < FLAPS; i++) {
        await control.fail(victim, FLAP_MS);
        await sleep(FLAP_MS);
        await control.clear(victim);
        await sleep(FLAP_MS);
      }
    },
  },
  {
    name: 'kill',
    title: 'One replica is killed',
    does: 'SIGKILL to the model process of one replica, by its own sidecar, which starts it again.',
    needs: 'processes',
    begin: ({ control, victim }) => control.kill(victim),
  },
  {
    name: 'freeze',
    title: 'One replica hangs',
    does: 'SIGSTOP to the model process of one replica, by its own sidecar, and SIGCONT 5 s later.',
    needs: 'processes',
    begin: ({ control, victim, faultMs }) => control.freeze(victim, faultMs),
  },
  {
    name: 'rolling-restart',
    title: 'Every replica is restarted, one after the other',
    does: 'A successor of the sidecar of each replica takes over with models of its own, one replica after the other.',
    needs: 'processes',
    faultMs: 500,
    begin: async ({ control, replicas, mark, untilWhole }) => {
      for (const replica of replicas) {
        mark('note', `${replica.name} is told to restart`, replica.name);
        await control.restart(replica);
        await untilWhole();
      }
    },
  },
];
