import { commandOf } from '../../self.js';

/** argv of a model process; `replica` and `address` may be placeholders of a mesh file. @param dir folder of the run. */
export function modelArgv(
  self: readonly string[],
  dir: string,
  { replica, address }: { readonly replica: string; readonly address: string },
): readonly string[] {
  return commandOf(self, ['chaos-model', '--dir', dir, '--replica', replica, '--listen', address]);
}
