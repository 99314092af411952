/** Inferences that belong to a sequence (Triton's sequence extension). */
import { MessageWriter } from '../../../sidecar/codec/protobuf.js';
import { grpcMessage } from '../http2/h2-frames.js';

export interface SequenceRequestOptions {
  readonly inputBytes?: number;
  /** It is the first of its sequence. */
  readonly isStart?: boolean;
}

/** A ModelInferRequest in the frame of gRPC. @param sequence undefined: it belongs to none. */
export function sequenceRequest(
  sequence: string | undefined,
  { inputBytes = 40, isStart = false }: SequenceRequestOptions = {},
): Buffer {
  const message = new MessageWriter().text(1, 'm');
  const parameter = (name: string, value: MessageWriter): void =>
    void message.message(4, new MessageWriter().text(1, name).message(2, value));
  if (sequence !== undefined) parameter('sequence_id', new MessageWriter().text(3, sequence));
  if (isStart) parameter('sequence_start', new MessageWriter().number(1, 1));
  message.message(5, new MessageWriter().text(1, 'x')).bytes(7, Buffer.alloc(inputBytes));
  return grpcMessage(message.finish());
}
