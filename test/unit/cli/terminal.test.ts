import assert from 'node:assert/strict';
import {
  fold,
  guardOutput,
  type OutputStream,
  ProgressLine,
  paletteFor,
  table,
} from '../../../sidecar/cli/terminal.js';

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

  it('tells the width of a terminal, and none of what is no terminal or does not say', () => {
    assert.equal(paletteFor(new FakeStream(true, 50), { NO_COLOR: '1' }).width, 50);
    assert.equal(paletteFor(new FakeStream(false, 50), {}).width, undefined);
    assert.equal(paletteFor(new FakeStream(true, 0), {}).width, undefined);
  });

  it('folds lines at spaces, indented as they are, and leaves words whole', () => {
    const text = '  one two three\nnext';
    assert.equal(fold(text), text);
    assert.equal(fold(text, 15), text);
    assert.equal(fold(text, 10), '  one two\n  three\nnext');
    assert.equal(fold('- one two three', 9, 2), '- one two\n  three');
    assert.equal(fold('a-very-long-word and more', 8), 'a-very-long-word\nand more');
    const green = paletteFor(new FakeStream(true), {}).green;
    assert.equal(fold(`${green('ok')} a b`, 6), `${green('ok')} a b`, 'colour takes no room');
  });
});

describe('the output of a command', () => {
  it('holds nothing that a terminal acts on, but the colours of the command', () => {
    const written: unknown[] = [];
    const stream = {
      write: (chunk: unknown) => {
        written.push(chunk);
        return true;
      },
    };
    guardOutput(stream as never);
    const { red } = paletteFor({ isTTY: true, write: () => true }, {});
    stream.write(`${red('failed')} /a.B/\x1b]0;owned\x07\u009b2J\u202e\n`);
    const bytes = Buffer.from([0x1b]);
    stream.write(bytes);
    assert.deepEqual(written, [`${red('failed')} /a.B/\\u001b]0;owned\\u0007\\u009b2J\\u202e\n`, bytes]);
  });

  it('has no row in a table that a peer has made', () => {
    assert.equal(table(['a', 'b'], [['x\n  forged', '1']]).split('\n').length, 2);
  });
});
