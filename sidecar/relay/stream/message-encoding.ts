import { fieldValue, headerViewOf } from '../../http2/header-view.js';
import type { HeaderBlock } from '../../http2/hpack/header-list.js';
import { Token } from '../../http2/hpack/tokens.js';

/** Why an endpoint does not go on with a stream, in words that follow its name. */
export const OTHER_ENCODING = 'encodes messages otherwise';

/** How the messages of a response are encoded, as its headers say. */
export class MessageEncoding {
  private readonly encoding: string;
  private readonly contentType: string;

  constructor(head: HeaderBlock) {
    this.encoding = encodingOf(head);
    this.contentType = contentTypeOf(head);
  }

  isSameIn(head: HeaderBlock): boolean {
    return encodingOf(head) === this.encoding && contentTypeOf(head) === this.contentType;
  }
}

/** The absent field says the same as `identity` (gRPC over HTTP/2, "Message-Encoding"). */
function encodingOf(head: HeaderBlock): string {
  return fieldValue(head, Token.grpcEncoding) ?? 'identity';
}

/** `application/grpc` stands for `application/grpc+proto`. */
function contentTypeOf(head: HeaderBlock): string {
  const { contentType } = headerViewOf(head);
  return contentType === 'application/grpc' ? 'application/grpc+proto' : contentType;
}
