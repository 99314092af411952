/**
 * Code length of each symbol, 0–255 and EOS, as letters: a = 5 bits … z = 30 bits. The code of RFC 7541 appendix B is
 * canonical, so that codes and the decoder's automaton (one step per byte, at most two symbols each) follow from it at load.
 */
const LENGTHS =
  'isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhfibccccccccccccccccccccccdcdioijbkaba' +
  'babbbaccbbbabcbaabccccckgjixprpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrqsrssprrrsrrsvvporsru' +
  'vvvwwvtuoqvwwvwtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwxwwwwwvz';

const EOS = 256;
const LENGTH = new Uint8Array(257);
const CODE = new Uint32Array(257);

/** An automaton entry: symbols in bits 0–7 and 16–23, their count in 24–25, flags above, the next state in 8–15. */
const FAIL = 1 << 26;
const UNSAFE = 1 << 27;
const STEP = new Int32Array(256 * 256);
/** States 0–7 are 0–7 one-bits after a whole symbol: where a string may end (RFC 7541 5.2). */
const LAST_FINAL_STATE = 7;

buildCodes();
const TREE = buildTree();
for (let state = 0; state < 256; state++) fillSteps(state << 8, 8, state, 0);

function buildCodes(): void {
  for (let symbol = 0; symbol <= EOS; symbol++) LENGTH[symbol] = LENGTHS.charCodeAt(symbol) - 97 + 5;
  let code = 0;
  for (let length = 5; length <= 30; length++) {
    code *= 2;
    for (let symbol = 0; symbol <= EOS; symbol++) if (LENGTH[symbol] === length) CODE[symbol] = code++;
  }
}

/** Children of each inner node (two a node): an inner node's number, or ~symbol for a leaf. */
function buildTree(): Int32Array {
  const tree = new Int32Array(256 * 2);
  let nodes = 1;
  for (let ones = 0; ones < LAST_FINAL_STATE; ones++) tree[ones * 2 + 1] = nodes++;
  for (let symbol = 0; symbol <= EOS; symbol++) {
    let node = 0;
    for (let bit = LENGTH[symbol]! - 1; bit > 0; bit--) {
      const slot = node * 2 + ((CODE[symbol]! >>> bit) & 1);
      if (tree[slot] === 0) tree[slot] = nodes++;
      node = tree[slot]!;
    }
    tree[node * 2 + (CODE[symbol]! & 1)] = ~symbol;
  }
  return tree;
}

/**
 * Enters the steps of all bytes that begin with the bits in `at`, of which `bits` are open. Bytes with the same first bits share that
 * work, because every process does it at its start.
 */
function fillSteps(at: number, bits: number, node: number, entry: number): void {
  if (bits === 0) {
    STEP[at] = entry | (node << 8);
    return;
  }
  for (let bit = 0; bit < 2; bit++) {
    const child = TREE[node * 2 + bit]!;
    const next = at | (bit << (bits - 1));
    if (child >= 0) fillSteps(next, bits - 1, child, entry);
    else fillSteps(next, bits - 1, 0, withSymbol(entry, ~child));
  }
}

function withSymbol(entry: number, symbol: number): number {
  if (symbol === EOS) return entry | FAIL;
  const count = (entry >>> 24) & 3;
  const added = (entry | (symbol << (16 * count))) + (1 << 24);
  return symbol === 0 || symbol === 10 || symbol === 13 ? added | UNSAFE : added;
}

let scratch = Buffer.allocUnsafeSlow(1024);

/** Where huffmanDecode put its bytes; valid until the next call. */
export function huffmanBytes(): Buffer {
  return scratch;
}

/**
 * Decodes source[start, end) into huffmanBytes().
 * Returns twice the number of decoded bytes, plus 1 if NUL, CR or LF is among them;
 * -1 for EOS, padding of more than 7 bits or padding that is not all ones (RFC 7541 5.2).
 */
export function huffmanDecode(source: Uint8Array, start: number, end: number): number {
  const most = (end - start) * 2 + 2;
  if (scratch.length < most) scratch = Buffer.allocUnsafeSlow(most * 2);
  const out = scratch;
  let at = 0;
  let state = 0;
  let flags = 0;
  for (let i = start; i < end; i++) {
    const entry = STEP[state | source[i]!]!;
    out[at] = entry;
    out[at + 1] = entry >> 16;
    at += (entry >> 24) & 3;
    flags |= entry;
    state = entry & 0xff00;
  }
  if ((flags & FAIL) !== 0 || state > LAST_FINAL_STATE << 8) return -1;
  return at * 2 + ((flags & UNSAFE) === 0 ? 0 : 1);
}

/** Bytes that `text` (one char a byte) takes when coded. */
export function huffmanLength(text: string): number {
  let bits = 7;
  for (let i = 0; i < text.length; i++) bits += LENGTH[text.charCodeAt(i)]!;
  return bits >>> 3;
}

/** Writes the code of `text` (one char a byte) and returns the position after it. */
export function huffmanEncode(text: string, out: Uint8Array, at: number): number {
  let pending = 0; // bits not yet written, fewer than 8
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i);
    let code = CODE[symbol]!;
    let length = LENGTH[symbol]!;
    if (length > 16) {
      length -= 16;
      bits = (bits << length) | (code >>> 16);
      pending += length;
      while (pending >= 8) {
        pending -= 8;
        out[at++] = bits >>> pending;
      }
      code &= 0xffff;
      length = 16;
    }
    bits = (bits << length) | code;
    pending += length;
    while (pending >= 8) {
      pending -= 8;
      out[at++] = bits >>> pending;
    }
  }
  if (pending > 0) out[at++] = (bits << (8 - pending)) | (0xff >>> pending);
  return at;
}
