/** An answer before it is known how it is written: a line of text, or an object for JSON. */
export interface Reply {
  readonly status: number;
  readonly body: string | object;
}
