import { type HeaderField, makeField } from './field.js';

/** Visible ASCII without the percent sign, which begins an escape. */
const PLAIN = /^[!-$&-~]*$/;

/**
 * A name as header fields carry it: every UTF-8 byte outside visible ASCII, and the percent sign, is percent-encoded (RFC 3986
 * section 2.1). `decodeName` reverses it. Names come from certificates, Consul and model repositories and hold any
 * character; a field holds bytes. Never throws: an unpaired surrogate becomes U+FFFD.
 */
export function encodeName(name: string): string {
  if (PLAIN.test(name)) return name;
  let encoded = '';
  for (const byte of Buffer.from(name, 'utf8')) {
    const isPlain = byte > 0x20 && byte < 0x7f && byte !== 0x25;
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** The name that `encodeName` has encoded; text that is not percent-encoded UTF-8 comes back unchanged. */
export function decodeName(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A header field whose value is a name. The only way in which names get into fields. */
export function nameField(field: string, name: string): HeaderField {
  return makeField(field, encodeName(name));
}
