import type { UpstreamConfig } from '../config/model.js';
import type { Cluster } from './cluster.js';
import { onEjectionEvent } from './ejection-events.js';
import { refreshEligible } from './eligibility.js';
import { onSuspicion } from './foresight/suspicion-events.js';
import { needsSweep, OutlierSweep, type SweepTarget } from './outlier-sweep.js';
import type { OwnLocality } from './priority-level.js';

/** Starts, changes or ends the outlier sweep as the configuration asks; what it left on the endpoints goes with it. */
export function configureSweep(cluster: Cluster, config: UpstreamConfig): void {
  const { slowStart } = config;
  const locality = ownLocality(config);
  cluster.priorities.locality = locality;
  const isWanted = needsSweep(config);
  if (isWanted) cluster.sweep ??= new OutlierSweep(cluster.context, sweepTargetOf(cluster));
  else cluster.sweep?.stop();
  if (!isWanted) cluster.sweep = null;
  cluster.sweep?.configure(config);
  for (const endpoint of cluster.endpoints) {
    if (slowStart === undefined) endpoint.slowStart = null;
    if (!isWanted) endpoint.overloadFactor = 0;
    if (locality === undefined) endpoint.localityFactor = 1;
    endpoint.updateEffectiveWeight();
  }
  cluster.balancer.reweighed?.();
}

/** Undefined: no place is preferred, or the own one is not known yet, and all are alike until it is. */
function ownLocality({ locality }: UpstreamConfig): OwnLocality | undefined {
  if (locality?.own === undefined) return undefined;
  return { own: locality.own, spillBelow: locality.spillBelow };
}

/** The cluster as its sweep sees it. */
function sweepTargetOf(cluster: Cluster): SweepTarget {
  return {
    get endpoints() {
      return cluster.endpoints;
    },
    get priorityLevels() {
      return cluster.priorities.all;
    },
    get feelsLoad() {
      return cluster.balancer.feelsLoad === true;
    },
    peerOf: (endpoint) => {
      const peer = cluster.balancer.pick(cluster.active, [endpoint], cluster.context.clock.now());
      return peer === endpoint ? undefined : peer;
    },
    onEjectionEvent: (event, endpoint) => onEjectionEvent(cluster, event, endpoint),
    onSuspicion: (change, endpoint) => onSuspicion(cluster, change, endpoint),
    onProbation: () => refreshEligible(cluster),
    onReweighed: () => cluster.balancer.reweighed?.(),
  };
}
