import { fieldValue, headerViewOf } from '../../http2/header-view.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import { Token } from '../../http2/hpack/tokens.js';

/** The absent field says the same as `identity` (gRPC over HTTP/2, "Message-Encoding"). */
export function encodingOf(head: HeaderBlock): string {
  return fieldValue(head, Token.grpcEncoding) ?? 'identity';
}

/** `application/grpc` stands for `application/grpc+proto`. */
export function contentTypeOf(head: HeaderBlock): string {
  const { contentType } = headerViewOf(head);
  return contentType === 'application/grpc' ? 'application/grpc+proto' : contentType;
}
