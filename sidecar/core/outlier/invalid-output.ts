/**
 * Whose answers are not what a model may answer: NaN, infinities, tensors that are shorter or longer than their shape
 * says, and datatypes or shapes that differ from what the peers answer. Suspicion is not guilt: the input may be what is
 * wrong. So the same request is put to a peer, and only when that one answers properly is the endpoint charged.
 */
import { RingWindow } from './outcome-window.js';

export interface OutputSettings {
  /** Above this share of charged answers an endpoint is suspect. */
  readonly above: number;
  readonly minSamples: number;
}

/** An answer, as far as it matters here. */
export interface InspectedAnswer {
  /** Name and version. */
  readonly model: string;
  /** Datatype and shape of every output, the first dimension, which is the batch's, left out. */
  readonly form: string;
  /** What is wrong with it whatever others answer; empty: nothing. */
  readonly flaw: string;
}

/** Answers are sampled, so that their window is longer than that of outcomes. */
const BUCKET_MS = 6_000;
/** Models whose forms are remembered. */
const MAX_MODELS = 64;

/** Sampled answers of one endpoint in the last minute: those in order count as successes, those charged as faults. */
export function outputWindow(): RingWindow {
  return new RingWindow(BUCKET_MS);
}

export function judgeOutputs({ successes, faults }: RingWindow, settings: OutputSettings): string {
  const samples = successes + faults;
  if (samples < settings.minSamples || faults <= samples * settings.above) return '';
  return `${faults} of ${samples} sampled answers in 60 s are invalid, and those of its peers are not`;
}

/** What each endpoint last answered for each model. */
export class ResponseShapes<Member> {
  private readonly byModel = new Map<string, Map<Member, string>>();

  /** Why the answer is suspicious; empty: it is not. */
  suspicion(member: Member, answer: InspectedAnswer): string {
    if (answer.flaw !== '') return answer.flaw;
    const known = this.formsOf(answer.model);
    known.set(member, answer.form);
    let others = 0;
    let theirs = '';
    for (const [other, form] of known) {
      if (other === member) continue;
      if (others > 0 && form !== theirs) return '';
      theirs = form;
      others += 1;
    }
    // Of two that differ, nobody can say who is right.
    if (others < 2 || theirs === answer.form) return '';
    return `answers ${answer.form} where its peers answer ${theirs}`;
  }

  forget(member: Member): void {
    for (const forms of this.byModel.values()) forms.delete(member);
  }

  private formsOf(model: string): Map<Member, string> {
    let forms = this.byModel.get(model);
    if (forms === undefined) {
      if (this.byModel.size >= MAX_MODELS) this.byModel.clear();
      forms = new Map();
      this.byModel.set(model, forms);
    }
    return forms;
  }
}

/** Whether a peer's answer to the same request shows that the suspicious one is the endpoint's own doing. */
export function isChargeable(suspect: InspectedAnswer, peer: InspectedAnswer): boolean {
  if (peer.flaw !== '' || peer.model !== suspect.model) return false;
  return suspect.flaw !== '' || peer.form !== suspect.form;
}
