import {
  allFail,
  crashLoop,
  errorBurst,
  flapping,
  hang,
  lateErrors,
  longRun,
  memoryHog,
  nan,
  slow,
  wrongShape,
} from './behaviours.js';
import { consulEmptied, consulForgets, consulGone, consulLying, leafExpiry } from './control-plane.js';
import type { Drill } from './drill.js';
import { engineFrozen, engineKilled } from './engines.js';
import { badNeighbour, clockStep, diskFull, noDescriptors } from './machine.js';
import { blackHole, delay, loss, narrowLine, packetLoss, partition } from './network.js';
import { overload2, overload5 } from './overload.js';
import {
  callerRestart,
  corruptModel,
  freeze,
  kill,
  poison,
  rollingRestart,
  sidecarRestart,
} from './processes.js';
import { streamDiesEarly, streamDiesLate } from './streams.js';

/**
 * All drills, in the order in which they run and stand in reports: first what happens to processes, then what they do wrong,
 * then loads, restarts and networks, then the machines and what else they need.
 */
export const DRILLS: readonly Drill[] = [
  ...[kill, freeze, crashLoop, streamDiesEarly, streamDiesLate, corruptModel, memoryHog, poison],
  ...[slow, errorBurst, lateErrors, flapping, hang, nan, wrongShape, allFail, longRun],
  ...[engineKilled, engineFrozen],
  ...[overload2, overload5, rollingRestart, callerRestart, sidecarRestart],
  ...[blackHole, partition, loss, packetLoss, delay, narrowLine],
  ...[badNeighbour, noDescriptors, clockStep, diskFull],
  ...[consulGone, consulEmptied, consulForgets, consulLying, leafExpiry],
];
