/**
 * For a `describe`: what its `before` hooks open and its end closes, the last one first.
 *
 * @returns opens something, and has it closed after the suite.
 */
export function closingAfterSuite(): <T>(made: T | Promise<T>, close: (it: T) => unknown) => Promise<T> {
  const closers: (() => unknown)[] = [];
  after(async () => {
    for (const close of closers) await close();
  });
  return async (made, close) => {
    const it = await made;
    closers.unshift(() => close(it));
    return it;
  };
}
