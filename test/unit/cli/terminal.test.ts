import assert from 'node:assert/strict';
import { type OutputStream, ProgressLine, paletteFor, table } from '../../../sidecar/cli/terminal.js';

class FakeStream implements OutputStream {
  text = '';
  constructor(
    readonly isTTY = false,
    readonly columns = 80,
  ) {}
  write(text: string): void {
    this.text += text;
  }
}

describe('terminal', () => {
  it('paints only on a terminal that was not asked for plain text', () => {
    const painted = (stream: OutputStream, env: Record<string, string>) =>
      paletteFor(stream, env).red('x') !== 'x';
    assert.equal(painted(new FakeStream(true), {}), true);
    assert.equal(painted(new FakeStream(true), { NO_COLOR: '' }), true); // no-color.org: empty does not count
    assert.equal(painted(new FakeStream(true), { NO_COLOR: '1' }), false);
    assert.equal(painted(new FakeStream(true), { TERM: 'dumb' }), false);
    assert.equal(painted(new FakeStream(false), {}), false);
    assert.equal(painted(new FakeStream(), { FORCE_COLOR: '1' }), false);
  });

  it('draws progress over itself on a terminal, cut to its width, and nowhere else', () => {
    const screen = new FakeStream(true, 31);
    const line = new ProgressLine(screen);
    line.show('a'.repeat(100));
    line.clear();
    line.clear();
    assert.equal(screen.text, `\r\x1b[2K${'a'.repeat(30)}\r\x1b[2K`);
    const file = new FakeStream();
    new ProgressLine(file).show('hidden');
    assert.equal(file.text, '');
  });

  it('lays out columns by what is visible, numbers to the right', () => {
    const green = paletteFor(new FakeStream(true), {}).green;
    const rows = [
      ['a', '5', green('ok')],
      ['long-name', '1200', ''],
    ];
    const expected = ['name       count  note', `a              5  ${green('ok')}`, 'long-name   1200'];
    assert.equal(table(['name', 'count', 'note'], rows), expected.join('\n'));
  });
});
