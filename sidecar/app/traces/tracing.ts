/** What traces need while they are on; loaded when they are. */

import { hostname } from 'node:os';
import type { SidecarConfig, TracesConfig } from '../../config/model.js';
import { OtlpGrpcSender } from '../../telemetry/traces/otlp-grpc.js';
import { OtlpHttpSender } from '../../telemetry/traces/otlp-http.js';
import { RequestWriter } from '../../telemetry/traces/otlp-request.js';
import { SpanExporter } from '../../telemetry/traces/span-exporter.js';
import { SpanQueue } from '../../telemetry/traces/span-queue.js';
import { Tracer } from '../../telemetry/traces/tracer.js';
import { WallOffset } from '../../telemetry/traces/wall-offset.js';
import type { AppContext } from '../context.js';

/** The parts of it that are looked at from outside. */
export interface Tracing {
  readonly tracer: Tracer;
  readonly queue: SpanQueue;
  readonly exporter: SpanExporter;
}

/** Begins to trace. The collector is first asked when there are spans. */
export function openTracing(
  config: TracesConfig,
  { service, instance }: Pick<SidecarConfig, 'service' | 'instance'>,
  { deps, dataPlane }: Pick<AppContext, 'deps' | 'dataPlane'>,
): Tracing {
  const queue = new SpanQueue();
  const resource = {
    'host.name': hostname(),
    ...config.attributes,
    'service.name': service,
    'service.instance.id': instance,
    'telemetry.sdk.name': 'outrider',
    'telemetry.sdk.language': 'nodejs',
  };
  const sender = config.protocol === 'grpc' ? new OtlpGrpcSender(config) : new OtlpHttpSender(config);
  const writer = new RequestWriter({ resource, version: deps.version });
  return {
    tracer: new Tracer(config, dataPlane, queue, new WallOffset(deps.clock)),
    queue,
    exporter: new SpanExporter(queue, writer, sender, deps),
  };
}
