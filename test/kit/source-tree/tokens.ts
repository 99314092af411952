/**
 * TypeScript source as tokens: names, strings and punctuation, without comments, and with templates and regular
 * expressions reduced to one token each (what stands in `${}` is code and is kept).
 *
 * TypeScript 7 has no compiler interface for JavaScript, and the questions asked here need no types.
 */

export interface Token {
  readonly kind: 'name' | 'string' | 'template' | 'pattern' | 'number' | 'mark';
  /** Strings without their quotes; `?.`, `=>`, `...`, `&&`, `||` and `??` as one mark, all others one character each. */
  readonly text: string;
  readonly line: number;
}

export function tokenize(source: string): Token[] {
  return new Tokenizer(source).run();
}

/** After these names a slash begins a pattern, as it does after every mark that cannot end an expression. */
const BEFORE_PATTERN = /^(return|typeof|case|in|of|delete|void|throw|new|do|else|await|yield)$/;

class Tokenizer {
  private readonly tokens: Token[] = [];
  private at = 0;
  private line = 1;
  /** For each `${` that is open: how many braces are open inside it. */
  private readonly templates: number[] = [];

  constructor(private readonly source: string) {}

  run(): Token[] {
    if (this.source.startsWith('#!')) this.skipLine();
    while (this.at < this.source.length) this.step();
    return this.tokens;
  }

  private step(): void {
    const char = this.source[this.at]!;
    const two = this.source.slice(this.at, this.at + 2);
    if (char === '\n') this.move(1);
    else if (/\s/.test(char)) this.at += 1;
    else if (two === '//') this.skipLine();
    else if (two === '/*') this.move(this.lengthUntil('*/', 2));
    else if (char === '"' || char === "'") this.string(char);
    else if (char === '`') this.template();
    else if (char === '/' && this.mayBeginPattern()) this.pattern();
    else if (/[\p{ID_Start}$_#]/u.test(char)) this.word('name', /[\p{ID_Continue}$#]+/uy);
    else if (/\d/.test(char)) this.word('number', /[\d\w.]+/y);
    else this.mark();
  }

  private mark(): void {
    const text =
      ['...', '?.', '=>', '&&', '||', '??'].find((mark) => this.source.startsWith(mark, this.at)) ??
      this.source[this.at]!;
    if (text === '{' && this.templates.length > 0) this.templates[this.templates.length - 1]! += 1;
    if (text === '}' && this.templates.length > 0) {
      if (this.templates.at(-1) === 0) {
        this.templates.pop();
        return this.template();
      }
      this.templates[this.templates.length - 1]! -= 1;
    }
    this.push('mark', text);
    this.at += text.length;
  }

  private word(kind: 'name' | 'number', shape: RegExp): void {
    shape.lastIndex = this.at;
    const text = shape.exec(this.source)?.[0] ?? this.source[this.at]!;
    this.push(kind, text);
    this.at += text.length;
  }

  private string(quote: string): void {
    let end = this.at + 1;
    while (end < this.source.length && this.source[end] !== quote && this.source[end] !== '\n')
      end += this.source[end] === '\\' ? 2 : 1;
    this.push('string', this.source.slice(this.at + 1, end));
    this.move(end + 1 - this.at);
  }

  /** From the backtick, or from the brace that closes `${}`, to the next `${` or the closing backtick. */
  private template(): void {
    let end = this.at + 1;
    while (end < this.source.length) {
      if (this.source[end] === '\\') end += 2;
      else if (this.source[end] === '`') break;
      else if (this.source.startsWith('${', end)) {
        this.push('template', this.source.slice(this.at + 1, end));
        this.move(end + 2 - this.at);
        this.templates.push(0);
        return;
      } else end += 1;
    }
    this.push('template', this.source.slice(this.at + 1, end));
    this.move(end + 1 - this.at);
  }

  private pattern(): void {
    let end = this.at + 1;
    let inClass = false;
    while (end < this.source.length && this.source[end] !== '\n') {
      const char = this.source[end];
      if (char === '\\') end += 1;
      else if (char === '[') inClass = true;
      else if (char === ']') inClass = false;
      else if (char === '/' && !inClass) break;
      end += 1;
    }
    const flags = /[a-z]*/y;
    flags.lastIndex = end + 1;
    const length = end + 1 + (flags.exec(this.source)?.[0].length ?? 0) - this.at;
    this.push('pattern', this.source.slice(this.at, this.at + length));
    this.at += length;
  }

  private mayBeginPattern(): boolean {
    const last = this.tokens.at(-1);
    if (last === undefined) return true;
    if (last.kind === 'mark') return !(last.text === ')' || last.text === ']' || last.text === '}');
    return last.kind === 'name' && BEFORE_PATTERN.test(last.text);
  }

  private lengthUntil(end: string, from: number): number {
    const found = this.source.indexOf(end, this.at + from);
    return (found === -1 ? this.source.length : found + end.length) - this.at;
  }

  private skipLine(): void {
    const end = this.source.indexOf('\n', this.at);
    this.at = end === -1 ? this.source.length : end;
  }

  private push(kind: Token['kind'], text: string): void {
    this.tokens.push({ kind, text, line: this.line });
  }

  private move(length: number): void {
    for (let i = this.at; i < this.at + length; i++) if (this.source[i] === '\n') this.line += 1;
    this.at += length;
  }
}
