import assert from 'node:assert/strict';
import {
  type ModelRequest,
  type Tensors,
  type Upstream,
  type UpstreamAnswer,
  UpstreamError,
} from '../../../../../services/model-server/code/model-code.js';
import { LineReader } from '../../../../../services/ocr/find/line-reader.js';
import { LINE_HEIGHT, linesOf } from '../../../../../services/ocr/lines.js';
import type { Picture } from '../../../../../services/ocr/picture.js';
import { requestOf } from '../../../../kit/service/model-context.js';

const UNAVAILABLE = 14;

/** The number of a line is the red of its first pixel, and 255 less that of its last. */
function numbered(number: number): Picture {
  const rgb = new Uint8Array(3 * 4 * LINE_HEIGHT);
  rgb[0] = number;
  rgb[rgb.length - 3] = 255 - number;
  return { width: 4, height: LINE_HEIGHT, rgb };
}

/** An upstream that answers with a function of the lines, and the requests that it got. */
class Recorded implements Upstream {
  readonly calls: { readonly model: string; readonly numbers: number[]; readonly within: ModelRequest }[] =
    [];

  constructor(
    private readonly answer: (numbers: readonly number[]) => Tensors | UpstreamError,
    private readonly why = '',
  ) {}

  async infer(model: string, inputs: Tensors, within: ModelRequest): Promise<UpstreamAnswer> {
    const numbers = linesOf(inputs).map(({ rgb }) => rgb[0]!);
    this.calls.push({ model, numbers, within });
    const outputs = this.answer(numbers);
    if (outputs instanceof Error) throw outputs;
    return { outputs, degraded: this.why };
  }
}

const angles =
  (of: (number: number) => number) =>
  (numbers: readonly number[]): Tensors => ({
    angle: { datatype: 'INT32', dims: [numbers.length], data: Int32Array.from(numbers, of) },
  });
const texts = (numbers: readonly number[]): Tensors => ({
  text: { datatype: 'BYTES', dims: [numbers.length], data: numbers.map((n) => `line ${n}`) },
  confidence: { datatype: 'FP32', dims: [numbers.length], data: Float32Array.from(numbers, () => 1) },
});
const down = (): UpstreamError => new UpstreamError(UNAVAILABLE, 'away');
const lines = (count: number): Picture[] => Array.from({ length: count }, (_, i) => numbered(i + 1));

describe('the reader of lines', () => {
  it('turns the lines that stand upside down before they are read', async () => {
    const read = new Recorded(texts);
    const reader = new LineReader(new Recorded(angles((n) => (n === 2 ? 180 : 0))), read);
    const found = await reader.read(lines(3), requestOf({}));
    assert.deepEqual(
      found.lines.map(({ text }) => text),
      ['line 1', 'line 253', 'line 3'],
    );
    assert.equal(found.degraded, '');
  });

  it('asks in calls of four lines, and keeps their order', async () => {
    const [orient, read] = [new Recorded(angles(() => 0)), new Recorded(texts)];
    const within = requestOf({});
    const found = await new LineReader(orient, read).read(lines(19), within);
    assert.deepEqual(
      [orient, read].map(({ calls }) => calls.map(({ numbers }) => numbers.length)),
      [
        [4, 4, 4, 4, 3],
        [4, 4, 4, 4, 3],
      ],
    );
    assert.ok([...orient.calls, ...read.calls].every((call) => call.within === within));
    assert.deepEqual(
      found.lines.map(({ text }) => text),
      lines(19).map((_, i) => `line ${i + 1}`),
    );
  });

  it('reads the lines as they are without orient, says so, and does not ask it again', async () => {
    const [orient, read] = [new Recorded(down), new Recorded(texts)];
    const found = await new LineReader(orient, read).read(lines(19), requestOf({}));
    assert.equal(found.degraded, 'orient');
    assert.equal(found.lines.length, 19);
    assert.equal(orient.calls.length, 1);
  });

  it('fails with the status of read, which is asked once', async () => {
    const read = new Recorded(down);
    const reading = new LineReader(new Recorded(angles(() => 0)), read).read(lines(3), requestOf({}));
    await assert.rejects(reading, (error) => error instanceof UpstreamError && error.code === UNAVAILABLE);
    assert.equal(read.calls.length, 1);
  });

  it('fails when the request is over, also while it asks orient', async () => {
    const read = new Recorded(texts);
    const within = { ...requestOf({}), signal: AbortSignal.abort() };
    await assert.rejects(new LineReader(new Recorded(down), read).read(lines(1), within), UpstreamError);
    assert.equal(read.calls.length, 0);
  });

  it('says which parts came from a fallback', async () => {
    const reader = new LineReader(
      new Recorded(
        angles(() => 0),
        'last-good',
      ),
      new Recorded(texts, 'static'),
    );
    assert.equal((await reader.read(lines(1), requestOf({}))).degraded, 'orient,read');
  });

  it('fails when a service answers another number of lines', async () => {
    const short = new Recorded((numbers) => texts(numbers.slice(1)));
    const reading = new LineReader(new Recorded(angles(() => 0)), short).read(lines(3), requestOf({}));
    await assert.rejects(reading, /^Error: read: found 2 elements in output 'text', expected 3$/);
  });

  it('asks no service for a page without lines', async () => {
    const [orient, read] = [new Recorded(down), new Recorded(down)];
    assert.deepEqual(await new LineReader(orient, read).read([], requestOf({})), { lines: [], degraded: '' });
  });
});
