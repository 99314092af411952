const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * Text for HTML and SVG, for content and for quoted attributes: `&`, `<`, `>` and both quotes as entities; control characters that
 * neither HTML nor XML has are replaced.
 */
export function escapeHtml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these are no characters of XML
  const plain = String(text).replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, '\ufffd');
  return plain.replace(/[&<>"']/g, (found) => ENTITIES[found]!);
}
