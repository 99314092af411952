import { AttemptEnd } from '../../core/outcome/outcome.js';

/** Connections in a row that took no call, after which the model is the reason. */
const CONNECTIONS_IN_A_ROW = 3;
/** Calls in a row that one connection has reset, while no other call is on it. */
const RESETS_IN_A_ROW = 5;
/** Calls in a row that one has reset beside others, without an answer to any: a server at its limit of streams answers some. */
const RESETS_BESIDE_OTHERS = 50;

/** What is known of the connection that refused a call (`Session`). */
interface RefusingConnection {
  readonly refusals: number;
}

/**
 * Tells a connection at its end from a model that does not serve. A gRPC server ends its connections at their age or in a
 * drain, and leaves out the calls that cross its GOAWAY: the next connection takes them, and nothing is wrong with the
 * model. One that takes no call on any connection is away. Any answer of the model proves that it is there.
 */
export class RefusingModel {
  private last: RefusingConnection | null = null;
  private connections = 0;
  /** Calls in a row that the present connection has reset. */
  private resets = 0;

  /** The model has answered a call. */
  onAnswer(): void {
    this.last = null;
    this.connections = 0;
    this.resets = 0;
  }

  /** A call ended as never processed, as `ended` says, on `connection`. True: a new attempt may well be served. */
  isPassing(ended: AttemptEnd, connection: RefusingConnection | null): boolean {
    if (ended !== AttemptEnd.goawayUnprocessed && ended !== AttemptEnd.refusedStream) return false;
    if (connection === null) return false;
    if (connection !== this.last) {
      this.connections += 1;
      this.resets = 0;
    }
    this.last = connection;
    if (ended === AttemptEnd.refusedStream) this.resets += 1;
    if (this.resets >= RESETS_BESIDE_OTHERS) return false;
    return this.connections < CONNECTIONS_IN_A_ROW && connection.refusals < RESETS_IN_A_ROW;
  }
}
