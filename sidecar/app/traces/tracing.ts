/** What traces need while they are on; loaded when they are. */

import type { SidecarConfig, TracesConfig } from '../../config/model.js';
import { RequestWriter } from '../../telemetry/otlp/otlp-request.js';
import { TRACES } from '../../telemetry/otlp/otlp-sender.js';
import { SpanExporter } from '../../telemetry/traces/span-exporter.js';
import { SpanQueue } from '../../telemetry/traces/span-queue.js';
import { Tracer } from '../../telemetry/traces/tracer.js';
import { WallOffset } from '../../telemetry/traces/wall-offset.js';
import { openSender } from '../collector-sender.js';
import type { AppContext } from '../context.js';
import { telemetrySource } from '../telemetry-source.js';

/** The parts of it that are looked at from outside. */
export interface Tracing {
  readonly tracer: Tracer;
  readonly queue: SpanQueue;
  readonly exporter: SpanExporter;
}

/** Begins to trace. The collector is first asked when there are spans. */
export function openTracing(
  config: TracesConfig,
  names: Pick<SidecarConfig, 'service' | 'instance'>,
  { deps, dataPlane }: Pick<AppContext, 'deps' | 'dataPlane'>,
): Tracing {
  const queue = new SpanQueue();
  const sender = openSender(config, TRACES, deps);
  const writer = new RequestWriter(telemetrySource(names, config.attributes, deps));
  return {
    tracer: new Tracer(config, dataPlane, queue, new WallOffset(deps.clock)),
    queue,
    exporter: new SpanExporter(queue, writer, sender, deps),
  };
}
