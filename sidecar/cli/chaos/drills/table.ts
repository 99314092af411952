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
import { corruptModel } from './corrupt-model.js';
import type { Drill } from './drill.js';
import { freeze } from './freeze.js';
import { kill } from './kill.js';
import { badNeighbour } from './machine/bad-neighbour.js';
import { clockStep } from './machine/clock-step.js';
import { diskFull } from './machine/disk-full.js';
import { noDescriptors } from './machine/no-descriptors.js';
import { consulEmptied, consulForgets, consulGone, consulLying } from './mesh/consul.js';
import { leafExpiry } from './mesh/leaf-expiry.js';
import { blackHole, delay, loss, narrowLine } from './network.js';
import { overload2, overload5 } from './overload.js';
import { packetLoss, partition } from './packets.js';
import { poison } from './poison.js';
import { callerRestart, sidecarRestart } from './proxy-restarts.js';
import { rollingRestart } from './rolling-restart.js';
import { streamDiesEarly, streamDiesLate } from './streams.js';

/**
 * All drills, in the order in which they run and stand in reports: first what happens to processes, then what they do wrong,
 * then loads, restarts and networks, then the machines and what else they need.
 */
export const DRILLS: readonly Drill[] = [
  ...[kill, freeze, crashLoop, streamDiesEarly, streamDiesLate, corruptModel, memoryHog, poison],
  ...[slow, errorBurst, lateErrors, flapping, hang, nan, wrongShape, allFail, longRun],
  ...[overload2, overload5, rollingRestart, callerRestart, sidecarRestart],
  ...[blackHole, partition, loss, packetLoss, delay, narrowLine],
  ...[badNeighbour, noDescriptors, clockStep, diskFull],
  ...[consulGone, consulEmptied, consulForgets, consulLying, leafExpiry],
];
