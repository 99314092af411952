import type { ForesightConfig } from '../../config/model.js';
import { mayLower, type NotLowered, trustOf } from '../../core/foresight/distrust.js';
import {
  EndpointForesight,
  FORESIGHT_DETECTORS,
  type Look,
} from '../../core/foresight/endpoint-foresight.js';
import { judgeAll } from '../../core/foresight/judge.js';
import { Outcome } from '../../core/outcome/outcome.js';
import type { CallClasses } from '../../core/outlier/call-class.js';
import { EjectionState } from '../../core/outlier/ejection.js';
import type { Endpoint } from '../endpoint.js';
import type { PriorityLevel } from '../priority-level.js';

/** The cluster as foresight sees it. */
export interface ForesightTarget {
  readonly endpoints: readonly Endpoint[];
  readonly priorityLevels: readonly PriorityLevel[];
  /** Suspects get fewer calls by their `trust`, and by their weight elsewhere. */
  readonly feelsLoad: boolean;
  onSuspicion(change: 'rose' | 'fell', endpoint: Endpoint): void;
  onReweighed(): void;
}

/**
 * Looks at what each endpoint's calls were like in the last second, suspects those that become slower or worse than they usually are, and, with
 * `enforce`, leaves them fewer calls. It ejects none. Part of the outlier sweep.
 */
export class ForesightSweep {
  /** Suspicions that began, by detector. */
  readonly begun = new Float64Array(FORESIGHT_DETECTORS.length);
  /** Sweeps in which a suspect kept all of its calls, by the reason. */
  readonly notLowered: Record<NotLowered, number> = { observed: 0, shared: 0, full: 0 };
  private config: ForesightConfig | undefined;

  constructor(
    private readonly target: ForesightTarget,
    private readonly classes: CallClasses,
  ) {}

  /** Takes over changed settings; undefined: it is off, and what it left on endpoints goes. */
  configure(config: ForesightConfig | undefined): void {
    this.config = config;
    if (config !== undefined) return;
    for (const endpoint of this.target.endpoints) {
      endpoint.foresight = null;
      lower(endpoint, 1, this.target.feelsLoad);
    }
    this.target.onReweighed();
  }

  /** Whether an endpoint is suspected, be it faintly: suspicions fade in sweeps, also without calls. */
  get isSuspicious(): boolean {
    return this.target.endpoints.some(({ foresight }) => foresight !== null && foresight.suspicion.value > 0);
  }

  /** Once a second. @param eventLoop `stalled`: what was measured since the last sweep says nothing about endpoints. */
  sweep(nowMs: number, eventLoop: 'running' | 'stalled'): void {
    if (this.config === undefined) return;
    for (const level of this.target.priorityLevels) this.sweepLevel(level, nowMs, eventLoop);
  }

  private sweepLevel(level: PriorityLevel, nowMs: number, eventLoop: 'running' | 'stalled'): void {
    const judged: Endpoint[] = [];
    for (const endpoint of level.endpoints) {
      endpoint.foresight ??= new EndpointForesight(lookAt(endpoint, nowMs));
      if (eventLoop === 'running' && isJudged(endpoint)) judged.push(endpoint);
      else this.report(endpoint.foresight.skip(lookAt(endpoint, nowMs), nowMs), endpoint);
    }
    const generationOf = (kind: number): number => this.classes.generationOf(kind);
    for (const endpoint of judged) endpoint.foresight!.look(lookAt(endpoint, nowMs), generationOf, nowMs);
    judgeAll(
      judged.map(({ foresight }) => foresight!),
      nowMs,
    ).forEach((change, i) => void this.report(change, judged[i]!));
    this.lowerSuspects(level);
  }

  private report(change: 'rose' | 'fell' | undefined, endpoint: Endpoint): void {
    if (change === undefined) return;
    if (change === 'rose') this.begun[endpoint.foresight!.suspicion.detector]! += 1;
    this.target.onSuspicion(change, endpoint);
  }

  private lowerSuspects(level: PriorityLevel): void {
    const { target } = this;
    const { endpoints, ejections } = level;
    const suspects = endpoints.filter(isSuspect);
    const why = suspects.length === 0 ? undefined : this.whyNot(level, suspects.length);
    if (why !== undefined) this.notLowered[why] += suspects.length;
    let hasChanged = false;
    for (const endpoint of endpoints) {
      const { value } = endpoint.foresight!.suspicion;
      const trust = why === undefined && isSuspect(endpoint) ? trustOf(value) : 1;
      hasChanged = lower(endpoint, trust, target.feelsLoad) || hasChanged;
    }
    if (hasChanged && ejections.members.size > 0) target.onReweighed();
  }

  private whyNot({ endpoints, ejections }: PriorityLevel, suspects: number): NotLowered | undefined {
    if (this.config!.mode === 'observe') return 'observed';
    const { eligible, cap, ejected, isPanicking } = ejections.members;
    const isFull = endpoints.some(
      (each) => !isSuspect(each) && each.eligible && (each.ejection.outcomes?.full ?? 0) > 0,
    );
    return mayLower({ eligible, suspects, cap, ejected, isPanicking, isFull });
  }
}

/** One that is out, or warms up, is like it usually is in nothing. */
function isJudged({ ejection, slowStart, isConnected }: Endpoint): boolean {
  return ejection.state === EjectionState.admitted && slowStart === null && isConnected;
}

function isSuspect({ foresight, ejection }: Endpoint): boolean {
  return foresight?.suspicion.isSuspect === true && ejection.state === EjectionState.admitted;
}

/** Calls of others count where they are reported. */
function lookAt({ outcomes, inFlight, reported }: Endpoint, nowMs: number): Look {
  const calls = inFlight + (reported?.counts(nowMs) === true ? reported.others : 0);
  return { successes: outcomes[Outcome.success]!, faults: outcomes[Outcome.fault]!, calls };
}

/** Whether that changed anything. */
function lower(endpoint: Endpoint, trust: number, feelsLoad: boolean): boolean {
  const [own, factor] = feelsLoad ? [trust, 1] : [1, trust];
  if (endpoint.trust === own && endpoint.suspicionFactor === factor) return false;
  endpoint.trust = own;
  endpoint.suspicionFactor = factor;
  endpoint.updateEffectiveWeight();
  return true;
}
