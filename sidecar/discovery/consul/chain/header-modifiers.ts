import { type HeaderEdits, type NameValue, whyNotEdited } from '../../../core/routing/header-edits.js';
import { type Json, listIn, objectIn, quote } from '../parser/json-fields.js';

/**
 * Reads Consul's `HTTPHeaderModifiers` (1.10): `Add`, `Set` and `Remove`. What cannot be applied is left out and told to `refuse`
 * as field and reason. Undefined: nothing is left.
 */
export function headerEditsIn(
  json: Json | undefined,
  refuse: (sentence: string) => void,
): HeaderEdits | undefined {
  if (json === undefined) return undefined;
  const remove = listIn(json, 'Remove').flatMap((each) => {
    const name = String(each).toLowerCase();
    const why = whyNotEdited(name);
    if (why !== undefined) refuse(`Remove ${quote(name)} is not applied: ${why}`);
    return why === undefined ? [name] : [];
  });
  const values = (field: string): NameValue[] =>
    Object.entries(objectIn(json, field) ?? {}).flatMap(([key, said]): NameValue[] => {
      const name = key.toLowerCase();
      const text = String(said);
      // A percent sign is doubled where it begins no variable.
      const hasVariable = text.replaceAll('%%', '').includes('%');
      const value = text.replaceAll('%%', '%');
      const why = hasVariable ? 'variables of Envoy have no counterpart' : whyNotEdited(name, value);
      if (why !== undefined) refuse(`${field} ${quote(name)} is not applied: ${why}`);
      return why === undefined ? [[name, value]] : [];
    });
  const edits = { remove, set: values('Set'), add: values('Add') };
  return Object.values(edits).every((list) => list.length === 0) ? undefined : edits;
}
