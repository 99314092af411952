/** Requests of ModelInfer as a client would send them, one message of gRPC each. */

import { encodeInferRequest } from '../../../sidecar/codec/inference.js';
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { ChunkList } from '../../../sidecar/transport/chunk-list.js';
import { grpcMessage } from '../http2/h2-frames.js';

/** @param bytes of its one input. */
export function anInferRequest(model: string, bytes = 28): Buffer {
  const input = { name: 'pixels', datatype: 'UINT8' as const, shape: [1, bytes], raw: Buffer.alloc(bytes) };
  return grpcMessage(encodeInferRequest(model, '1', [input], ['scores']));
}

/** One that names a model, and a version unless that is empty, and has 40 bytes beside. */
export function aRequestFor(model: string, version = ''): Buffer {
  const message = new MessageWriter().text(1, model);
  if (version !== '') message.text(2, version);
  return grpcMessage(message.bytes(7, Buffer.alloc(40)).finish());
}

/** As a call keeps it. @param frame bytes that come at a time. */
export function kept(body: Buffer, frame = 16_384): ChunkList {
  const pieces = new ChunkList();
  for (let at = 0; at < body.length; at += frame) pieces.add(body, at, Math.min(body.length, at + frame));
  return pieces;
}
