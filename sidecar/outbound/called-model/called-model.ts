/**
 * Which model a call names, where its upstream has rules or endpoints that differ by model. The name is field 1 and the
 * version field 2 of the first message of the methods in `MODEL_METHODS` (Open Inference Protocol, TorchServe), or in a message in
 * field 1 of those in `MODEL_SPEC_METHODS` (TensorFlow Serving), so that nothing but the first 4 KiB of the request has to be here; a name beyond that, of more than 128 bytes or in a compressed message is not
 * read, and such a call goes where it would without any rule. Upstreams without such rules never come here.
 */

import type { ModelGroup } from '../../cluster/served-models/model-claims.js';
import { ModelView, VIEW_BYTES } from '../../cluster/served-models/model-key.js';
import { PREFIX_BYTES } from '../../codec/grpc-message.js';
import { modelLayoutOf, NAMING_METHODS } from '../../core/routing/method.js';
import type { CalledModel } from '../../core/routing/traffic-split.js';
import { headerViewOf } from '../../http2/header-view.js';
import { NEVER } from '../../relay/call.js';
import { resumeAt } from '../../relay/call-timer.js';
import { Next } from '../../relay/next.js';
import { creditRequest } from '../../relay/request-buffer.js';
import { prefixOf } from '../../relay/request-prefix.js';
import type { OutboundCall } from '../call.js';

/** It names no model, or none that can be told. */
const UNNAMED: CalledModel = { modelName: '', modelVersion: '' };

/** One for all calls: it is read into and read out in one go. */
const view = new ModelView();

/** Whether the call's method names a model in its messages. */
export function namesModel(call: OutboundCall): boolean {
  return NAMING_METHODS.has(headerViewOf(call.original).path);
}

/**
 * Before the first attempt of a call whose method names a model. `handled`: it waits until more of its first message is here,
 * and only the limits of the call bound that wait, as a stream may be open for long before its first message comes.
 */
export function awaitModel(call: OutboundCall): Next {
  readModel(call);
  if (call.called !== null || call.requestEnded || !call.isReplayable) {
    call.called ??= UNNAMED;
    call.isRequestAwaited = false;
    return Next.continue;
  }
  awaitBytes(call, bytesNeeded(call));
  return Next.handled;
}

/** The call waits until its request has so many bytes, is complete, or cannot be kept. */
export function awaitBytes(call: OutboundCall, bytes: number): void {
  const wait = call.ensureWait();
  wait.keyBytes = bytes;
  wait.isForRequest = true;
  call.isRequestAwaited = true;
  resumeAt(call, NEVER);
  creditRequest(call, call.requestBytes);
}

/** Reads what the call names, as far as its request has come: into `called`, once. */
export function readModel(call: OutboundCall): void {
  if (call.called !== null || call.buffered === null) return;
  if (!view.read(call.buffered, modelLayoutOf(headerViewOf(call.original).path))) return;
  const { bytes, length } = view;
  if (length === 0) {
    call.called = UNNAMED;
    return;
  }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, length);
  const end = 1 + text[0]!;
  call.called = {
    modelName: text.toString('utf8', 1, end),
    modelVersion: text.toString('utf8', end, length),
  };
}

/** Bytes of the body at which a further look is worth it. */
function bytesNeeded({ buffered }: OutboundCall): number {
  if (buffered === null || buffered.bytes < PREFIX_BYTES) return PREFIX_BYTES;
  return Math.min(VIEW_BYTES, PREFIX_BYTES + prefixOf(buffered, PREFIX_BYTES).readUInt32BE(1));
}

/**
 * The endpoints that have the model, and the version of it, which the call names; undefined: it names none that can be told, or no endpoint claims
 * it, or all have the same.
 */
export function groupFor(call: OutboundCall): ModelGroup | undefined {
  const { claims } = call.cluster;
  if (claims === null || !namesModel(call)) return undefined;
  readModel(call);
  if (call.called === null || call.called.modelName === '') return undefined;
  return claims.groupOf(call.called.modelName, call.called.modelVersion);
}

/**
 * The call goes to an endpoint that is not known to have its model, as none of its `group` can take it. Counted once for a call, at its
 * first attempt: further attempts follow from that one.
 */
export function countMiss(call: OutboundCall, group: ModelGroup | undefined): void {
  if (call.attemptsHere > 0 || !namesModel(call)) return;
  const isNamed = call.called !== null && call.called.modelName !== '';
  const why = group !== undefined ? 'unavailable' : isNamed ? 'unclaimed' : 'unnamed';
  call.cluster.modelMisses[why]++;
}
