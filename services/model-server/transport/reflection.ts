/**
 * gRPC server reflection, v1 and v1alpha, as methods of the table: the library answers, whichever server carries the calls.
 * https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
 */

import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { type Method, protocols, small } from '../../../proto/load.js';
import { type ServedMethod, type StreamCall, type StreamReceiver, streaming } from '../protocol/call.js';

/** What the library needs of a call: it registers both listeners at once, and answers each message as it comes. */
interface LibraryStream {
  on(event: 'data' | 'end', listener: (message?: unknown) => void): void;
  write(response: unknown): void;
  end(): void;
}

/** The methods of both versions, over every service that the .proto files define. */
export function reflectionMethods(): ServedMethod[] {
  const methods: ServedMethod[] = [];
  const addService = (service: ServiceDefinition, implementation: UntypedServiceImplementation): void => {
    for (const [name, method] of Object.entries(service)) {
      const answer = implementation[name] as unknown as (stream: LibraryStream) => void;
      // A request is a name, which the library echoes: bounded before it is decoded.
      const bounded = { ...method, requestDeserialize: small(method.requestDeserialize) };
      methods.push(streaming(bounded as Method<unknown, unknown>, (call) => receiverOf(call, answer)));
    }
  };
  new ReflectionService(protocols().definitions).addToServer({ addService });
  return methods;
}

function receiverOf(
  call: StreamCall<unknown>,
  answer: (stream: LibraryStream) => void,
): StreamReceiver<unknown> {
  const listeners: { data?: (message?: unknown) => void; end?: (message?: unknown) => void } = {};
  answer({
    on: (event, listener) => {
      listeners[event] = listener;
    },
    write: (response) => {
      call.write(response);
      if (call.writable) return;
      call.pause();
      call.onWritable(() => call.resume());
    },
    end: () => call.end(),
  });
  return { request: (message) => listeners.data!(message), end: () => listeners.end!() };
}
