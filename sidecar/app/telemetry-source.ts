import { hostname } from 'node:os';
import type { SidecarConfig } from '../config/model.js';
import type { TelemetrySource } from '../telemetry/otlp/otlp-request.js';
import type { Deps } from './context.js';

/** Whose traces and metrics collectors get. What tells sidecars apart comes after the attributes of the file. */
export function telemetrySource(
  { service, instance }: Pick<SidecarConfig, 'service' | 'instance'>,
  attributes: Readonly<Record<string, string>>,
  { version, host = hostname() }: Pick<Deps, 'version' | 'host'>,
): TelemetrySource {
  const resource = {
    'host.name': host,
    ...attributes,
    'service.name': service,
    'service.instance.id': instance,
    'telemetry.sdk.name': 'outrider',
    'telemetry.sdk.language': 'nodejs',
  };
  return { resource, version };
}
