import type { MethodDefinition } from '@grpc/grpc-js';

/** A method whose messages are bytes, passed as they are. */
export type RawMethod = MethodDefinition<Buffer, Buffer>;

export function asIs(bytes: Buffer): Buffer {
  return bytes;
}

/** A method of bytes with one request and one response, unless it is said to be a stream. */
export function rawMethod(path: string, { requestStream = false, responseStream = false } = {}): RawMethod {
  return {
    ...{ path, requestStream, responseStream },
    ...{
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    },
  };
}
