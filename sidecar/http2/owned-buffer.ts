declare const owned: unique symbol;

/**
 * A buffer that its holder alone may write into: bytes that were just read, or memory that was just allocated. A frame that is
 * passed on gets its new header where the old one was, and the socket's queue refers to these bytes until the kernel has
 * taken them. So whatever writes in place (`putFrameHeader`, `completeFrames`) takes this type, and there is one writer.
 *
 * An owned buffer is handed over once. What else reads the same payload gets it as a plain `Buffer`, which is shared: a
 * copy, a retry, a hedge, a tee, a sample. Nothing turns a shared buffer into an owned one.
 */
export type OwnedBuffer = Buffer & { readonly [owned]: true };

/** Only for memory that nobody else refers to: a read as it comes from a socket, and buffers made by the caller. */
export function ownBuffer(buffer: Buffer): OwnedBuffer {
  return buffer as OwnedBuffer;
}
