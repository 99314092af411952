/**
 * Loaded into a sidecar by `NODE_OPTIONS=--import`, so that the program itself is as it is: a header value that holds `$PLANTED_MARK` throws while it
 * is read, and SIGWINCH makes a timer throw that belongs to nothing of the program.
 */

const mark = process.env['PLANTED_MARK'];

interface Latin1 {
  latin1Slice(start?: number, end?: number): string;
}

const buffers = Buffer.prototype as unknown as Latin1;
const { latin1Slice } = buffers;
buffers.latin1Slice = function (this: Buffer, start?: number, end?: number): string {
  const text = latin1Slice.call(this, start, end);
  if (mark !== undefined && text.includes(mark)) throw new Error('planted in a read');
  return text;
};

process.on('SIGWINCH', () => {
  setImmediate(() => {
    throw new Error('planted without an owner');
  });
});
