import type { Socket } from 'node:net';

/**
 * Calls `each` with every JSON line that arrives. A line that is none ends the connection: both ends are this program, so that
 * it can only be a defect.
 */
export function onLines(socket: Socket, each: (value: unknown) => void): void {
  let rest = '';
  socket.setEncoding('utf8').on('data', (part: string) => {
    const lines = (rest + part).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      try {
        each(JSON.parse(line));
      } catch (error) {
        socket.destroy(error as Error);
      }
    }
  });
}

/** Writes one JSON line; nothing where the connection is gone. */
export function sendLine(socket: Socket, value: object): void {
  if (!socket.destroyed) socket.write(`${JSON.stringify(value)}\n`);
}
