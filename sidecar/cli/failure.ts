/**
 * The error a command throws when the user is to read exactly one line and get an exit code.
 *
 * Everything else that reaches the process edge is a defect, and is also shown as one line, never as a stack.
 */

export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';

  /** `exitCode` is 1 when it failed, 2 when the command line was wrong. */
  constructor(
    message: string,
    readonly exitCode: 1 | 2 = 1,
  ) {
    super(message);
  }
}

/** The first line of what went wrong, whatever was thrown. */
export function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.split('\n', 1)[0] || 'unknown error';
}
