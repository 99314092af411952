import {
  type ModelRequest,
  type Tensors,
  type Upstream,
  UpstreamError,
} from '../../model-server/code/model-code.js';
import { lineTensors } from '../lines.js';
import { type Picture, turned } from '../picture.js';

/** Lines of one call. `read` runs them in one turn, so this bounds how long a call of another caller waits there. */
const LINES_PER_CALL = 4;

/** What was read, in the order of the lines. */
export interface ReadLines {
  readonly lines: readonly { readonly text: string; readonly confidence: number }[];
  /** Names of the services whose part is missing or came from a fallback, separated by commas; empty: none. */
  readonly degraded: string;
}

/** Reads pictures of lines through the two services behind it. */
export class LineReader {
  constructor(
    private readonly orient: Upstream,
    private readonly reading: Upstream,
  ) {}

  /**
   * Lines that `orient` cannot tell of are read as they are; once it has failed it is not asked again for this request.
   * Rejects with the UpstreamError of `read`, or of either when the request is over.
   */
  async read(lines: readonly Picture[], within: ModelRequest): Promise<ReadLines> {
    const degraded = new Set<string>();
    const read: { text: string; confidence: number }[] = [];
    for (let from = 0; from < lines.length; from += LINES_PER_CALL) {
      const own = lines.slice(from, from + LINES_PER_CALL);
      const upright = degraded.has('orient') ? own : await this.upright(own, within, degraded);
      const { outputs, degraded: why } = await this.reading.infer('read', lineTensors(upright), within);
      if (why !== '') degraded.add('read');
      const text = column(outputs, 'text', 'read', own.length) as string[];
      const confidence = column(outputs, 'confidence', 'read', own.length) as Float32Array;
      read.push(...text.map((t, i) => ({ text: t, confidence: confidence[i]! })));
    }
    return { lines: read, degraded: [...degraded].join(',') };
  }

  private async upright(
    lines: readonly Picture[],
    within: ModelRequest,
    degraded: Set<string>,
  ): Promise<readonly Picture[]> {
    try {
      const { outputs, degraded: why } = await this.orient.infer('orient', lineTensors(lines), within);
      if (why !== '') degraded.add('orient');
      const angles = column(outputs, 'angle', 'orient', lines.length) as Int32Array;
      return lines.map((line, i) => (angles[i] === 180 ? turned(line) : line));
    } catch (error) {
      if (!(error instanceof UpstreamError) || within.signal.aborted) throw error;
      degraded.add('orient');
      return lines;
    }
  }
}

/** An output with one element for each line. Throws an Error where the service answered something else. */
function column(outputs: Tensors, name: string, service: string, count: number): Tensors[string]['data'] {
  const data = outputs[name]?.data;
  if (data?.length === count) return data;
  throw new Error(
    `${service}: found ${data?.length ?? 'no'} elements in output '${name}', expected ${count}`,
  );
}
