import type { SweepDetector } from './detector.js';
import { LATEST, type OutputWindow } from './output-window.js';

/** When a share of invalid responses is too large. */
export interface InvalidOutputSettings {
  /** An endpoint with a larger share of invalid responses among the samples is an outlier; 0 to 1. */
  readonly above: number;
  /** Samples within 60 s below which an endpoint is not examined. */
  readonly minSamples: number;
}

/** Standard deviations beyond `above` that the latest responses have to show: they are few. */
const DEVIATIONS = 2;
/** Models whose shapes are remembered. */
const MAX_MODELS = 64;

/**
 * Responses that a model must not give: NaN, infinities, tensors shorter or longer than their shape says, and datatypes or
 * shapes that differ from those of the peers. A suspicious response alone proves nothing, for the input may be at fault: the
 * same request is sent to a peer, and the endpoint is blamed only when the peer's response is valid (`isBlamed`).
 */
export const invalidOutput: SweepDetector<OutputWindow, InvalidOutputSettings> = {
  name: 'invalid-output',
  goesByFaults: false,
  reads: 'outputs',
  find: (windows, { above, minSamples }) =>
    windows.map(({ calls, faults, latestFaults }) => {
      if (calls < minSamples) return undefined;
      const isLong = faults > calls * above;
      if (!isLong && latestFaults <= leastOfLatest(above)) return undefined;
      const which = isLong ? `${faults} of ${calls}` : `${latestFaults} of the last ${LATEST}`;
      const why = `${which} sampled answers in 60 s are invalid, and those of its peers are not`;
      return { why, severity: faults };
    }),
};

/** How many of the latest an endpoint may well have by chance whose share is `above`. */
function leastOfLatest(above: number): number {
  return LATEST * (above + DEVIATIONS * Math.sqrt((above * (1 - above)) / LATEST));
}

/** A response of a model, as far as it is inspected. */
export interface InspectedResponse {
  /** Name and version. */
  readonly model: string;
  /** Datatype and shape of every output, without the first dimension, which is the batch. */
  readonly shape: string;
  /** What is invalid in it whatever the peers answer; empty: nothing. */
  readonly flaw: string;
}

/** The shape of each endpoint's last response for each model. */
export class ResponseShapes<Member> {
  private readonly byModel = new Map<string, Map<Member, string>>();

  /** Why the response is suspicious: invalid by itself, or unlike that of two or more peers that agree; empty: it is not. */
  suspicion(member: Member, response: InspectedResponse): string {
    if (response.flaw !== '') return response.flaw;
    const known = this.shapesOf(response.model);
    known.set(member, response.shape);
    let others = 0;
    let peerShape = '';
    for (const [other, shape] of known) {
      if (other === member) continue;
      if (others > 0 && shape !== peerShape) return '';
      peerShape = shape;
      others += 1;
    }
    // Of two endpoints that differ either may be wrong.
    if (others < 2 || peerShape === response.shape) return '';
    return `answers ${response.shape} where its peers answer ${peerShape}`;
  }

  forget(member: Member): void {
    for (const shapes of this.byModel.values()) shapes.delete(member);
  }

  private shapesOf(model: string): Map<Member, string> {
    let shapes = this.byModel.get(model);
    if (shapes === undefined) {
      if (this.byModel.size >= MAX_MODELS) this.byModel.clear();
      shapes = new Map();
      this.byModel.set(model, shapes);
    }
    return shapes;
  }
}

/** Whether a peer's response to the same request is valid, so that the endpoint is to blame for the suspicious one. */
export function isBlamed(suspect: InspectedResponse, peer: InspectedResponse): boolean {
  if (peer.flaw !== '' || peer.model !== suspect.model) return false;
  return suspect.flaw !== '' || peer.shape !== suspect.shape;
}
