import { PASSED_OVER_BY } from './passed-over.js';
import {
  type ReplicaFacts,
  type ReplicaPlace,
  ROLLOUT_PHASES,
  ROLLOUT_STATES,
  type RolloutRecord,
  type RolloutSettings,
} from './rollout.js';

/** What another sidecar, or an earlier one, has stored as a rollout; undefined: it is none that can be used. */
export function readRollout(value: unknown): RolloutRecord | undefined {
  if (!isObject(value)) return undefined;
  const { format, id, service, model, version, from, why, state, end, settings, replicas, startedMs } = value;
  const { absentSinceMs = 0, passedOver = [] } = value;
  const areTexts = [id, service, model, version, from, why].every((each) => typeof each === 'string');
  if (
    format !== 1 ||
    !areTexts ||
    !isNumber(startedMs) ||
    !isNumber(absentSinceMs) ||
    !isOneOf(ROLLOUT_STATES, state)
  )
    return undefined;
  if (end !== undefined && !isOneOf(ROLLOUT_STATES, end)) return undefined;
  if (!areSettings(settings) || !Array.isArray(replicas) || !replicas.every(isPlace)) return undefined;
  if (!Array.isArray(passedOver) || !passedOver.every(isPassedOver)) return undefined;
  return value as unknown as RolloutRecord;
}

/** What another replica has said of itself; undefined: it is nothing that can be used. */
export function readFacts(value: unknown): ReplicaFacts | undefined {
  if (!isObject(value)) return undefined;
  const { instance, id, serving, candidate, why, compared, agreed, difference, before, after, pairs } = value;
  const areTexts = [instance, id, serving, candidate, why, difference].every(
    (each) => typeof each === 'string',
  );
  const areKnown = isNumber(compared) && isNumber(agreed) && isTally(before) && isTally(after);
  if (pairs !== undefined && !hasNumbers(pairs, ['sampled', 'alike'])) return undefined;
  return areTexts && areKnown ? (value as unknown as ReplicaFacts) : undefined;
}

function isTally(value: unknown): boolean {
  if (!hasNumbers(value, ['calls', 'errors', 'medianMs'])) return false;
  const { refused = 0, phase } = value;
  return isNumber(refused) && (phase === undefined || hasNumbers(phase, ['calls', 'refused']));
}

function hasNumbers(value: unknown, keys: readonly string[]): value is Record<string, unknown> {
  return isObject(value) && keys.every((key) => isNumber(value[key]));
}

function areSettings(value: unknown): value is RolloutSettings {
  const keys = ['windowMs', 'agreement', 'samples', 'canary', 'maxLatency', 'loadMs'];
  return isObject(value) && keys.every((key) => isNumber(value[key]));
}

function isPlace(value: unknown): value is ReplicaPlace {
  if (!isObject(value)) return false;
  const { instance, phase, sinceMs } = value;
  return typeof instance === 'string' && isNumber(sinceMs) && isOneOf(ROLLOUT_PHASES, phase);
}

function isPassedOver(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { model, version, by } = value;
  return typeof model === 'string' && typeof version === 'string' && isOneOf(PASSED_OVER_BY, by);
}

function isOneOf(known: readonly string[], value: unknown): boolean {
  return typeof value === 'string' && known.includes(value);
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
