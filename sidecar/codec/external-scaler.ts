/** The messages of KEDA's external scalers (proto/external-scaler.proto). */

import { fieldsOf, MessageWriter } from './protobuf.js';

const SERVICE = '/externalscaler.ExternalScaler/';

/** Paths of the methods. */
export const ScalerMethod = {
  isActive: `${SERVICE}IsActive`,
  streamIsActive: `${SERVICE}StreamIsActive`,
  metricSpec: `${SERVICE}GetMetricSpec`,
  metrics: `${SERVICE}GetMetrics`,
} as const;

/** Entries of metadata that are read. */
const MOST_METADATA = 64;

/** The metadata of the trigger that a ScaledObjectRef has; undefined: the bytes are none. */
export function readScaledObject(bytes: Buffer): ReadonlyMap<string, string> | undefined {
  try {
    return metadataIn(bytes);
  } catch {
    return undefined;
  }
}

/** The same of a GetMetricsRequest. */
export function readMetricsRequest(bytes: Buffer): ReadonlyMap<string, string> | undefined {
  try {
    for (const field of fieldsOf(bytes))
      if (field.number === 1 && field.type === 'bytes') return metadataIn(field.value);
    return new Map();
  } catch {
    return undefined;
  }
}

/** @throws RangeError when the bytes are no message. */
function metadataIn(bytes: Buffer): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  for (const field of fieldsOf(bytes)) {
    if (field.number !== 3 || field.type !== 'bytes' || metadata.size >= MOST_METADATA) continue;
    let key = '';
    let value = '';
    for (const part of fieldsOf(field.value)) {
      if (part.type !== 'bytes') continue;
      if (part.number === 1) key = part.value.toString('utf8');
      if (part.number === 2) value = part.value.toString('utf8');
    }
    metadata.set(key, value);
  }
  return metadata;
}

export function writeIsActive(isActive: boolean): Buffer {
  return new MessageWriter().number(1, isActive ? 1 : 0).finish();
}

/** @param target for each replica. */
export function writeMetricSpec(name: string, target: number): Buffer {
  return new MessageWriter().message(1, numberOf(name, target)).finish();
}

/** @param value of all replicas together. */
export function writeMetricValue(name: string, value: number): Buffer {
  return new MessageWriter().message(1, numberOf(name, value)).finish();
}

/** The whole number is for versions of KEDA that do not know the other. */
function numberOf(name: string, value: number): MessageWriter {
  return new MessageWriter().text(1, name).number(2, Math.ceil(value)).double(3, value);
}
