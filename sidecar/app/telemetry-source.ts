import { hostname } from 'node:os';
import type { SidecarConfig } from '../config/model.js';
import type { TelemetrySource } from '../telemetry/otlp/otlp-request.js';

/** Whose traces and metrics collectors get. What tells sidecars apart comes after the attributes of the file. */
export function telemetrySource(
  { service, instance }: Pick<SidecarConfig, 'service' | 'instance'>,
  attributes: Readonly<Record<string, string>>,
  version: string,
): TelemetrySource {
  const resource = {
    'host.name': hostname(),
    ...attributes,
    'service.name': service,
    'service.instance.id': instance,
    'telemetry.sdk.name': 'outrider',
    'telemetry.sdk.language': 'nodejs',
  };
  return { resource, version };
}
