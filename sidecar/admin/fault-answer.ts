/** The HTTP answer of `/faults`: a line of text, or an object for JSON. */
export interface FaultAnswer {
  readonly status: number;
  readonly body: string | object;
}
