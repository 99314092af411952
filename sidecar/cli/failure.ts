/**
 * A failure that a command explains to the user: `message` is printed, one line for each of its
 * lines. Any other error that reaches `runProgram` is a defect; it is shown as one line too, with
 * its stack only under OUTRIDER_DEBUG=1.
 */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';

  /** @param exitCode 1: the command failed; 2: the command line was wrong. */
  constructor(
    message: string,
    readonly exitCode: 1 | 2 = 1,
  ) {
    super(message);
  }
}

/** The first line of the message of anything that was thrown. */
export function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.split('\n', 1)[0] || 'unknown error';
}
