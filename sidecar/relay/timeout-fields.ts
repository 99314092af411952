import { formatGrpcTimeout } from '../core/deadline/grpc-timeout.js';
import { type HeaderField, makeField } from '../http2/hpack/field.js';

/** Shorter times have digits below the millisecond. */
const FROM_MS = 100;
const UP_TO_MS = 16_384;

/** Fields of one name whose values are times as `grpc-timeout` has them. Whole milliseconds recur very often: those are made once. */
export class TimeoutFields {
  private readonly known = new Array<HeaderField | undefined>(UP_TO_MS).fill(undefined);

  constructor(private readonly name: string) {}

  /** The field for this many ms, rounded down: the same object for the same whole milliseconds from 100 to 16,383. */
  of(leftMs: number): HeaderField {
    if (!(leftMs >= FROM_MS && leftMs < UP_TO_MS)) return makeField(this.name, formatGrpcTimeout(leftMs));
    const ms = Math.floor(leftMs);
    const known = this.known[ms];
    if (known !== undefined) return known;
    const field = makeField(this.name, formatGrpcTimeout(ms));
    this.known[ms] = field;
    return field;
  }
}
