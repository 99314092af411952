import type { RequestTable } from '../relay/stream/engine-call.js';

/** Requests whose engine is known; of more, Abort goes where the load says. */
const MOST_REQUESTS = 65_536;

/** Calls by the ids that their clients gave them. Clients that know nothing of each other may give the same one. */
export class EngineRequests<Each extends { readonly session: object }> implements RequestTable {
  private readonly byId = new Map<string, Each[]>();
  /** Calls that are in it. */
  size = 0;

  /** False: there are too many. */
  add(id: string, call: Each): boolean {
    if (this.size >= MOST_REQUESTS) return false;
    const named = this.byId.get(id);
    if (named === undefined) this.byId.set(id, [call]);
    else named.push(call);
    this.size++;
    return true;
  }

  remove(id: string, call: object): void {
    const named = this.byId.get(id);
    const i = named?.indexOf(call as Each) ?? -1;
    if (i < 0) return;
    named!.splice(i, 1);
    if (named!.length === 0) this.byId.delete(id);
    this.size--;
  }

  /**
   * The calls that a client means by the id: those on its own connection (`session`), if there are any. Clients with several connections may ask on
   * another one.
   */
  meantBy(id: string, session: object): readonly Each[] {
    const named = this.byId.get(id) ?? [];
    if (named.length < 2) return named;
    const own = named.filter((each) => each.session === session);
    return own.length > 0 ? own : [...named];
  }
}
