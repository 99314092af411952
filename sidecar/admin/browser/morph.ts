/** Elements whose content is the script's own: the charts and the lines of the graph. */
const KEPT = '[data-keep]';

/**
 * Changes `now` into `next` in place: what stays the same element keeps its focus, its scroll position and whether it is open. Elements with
 * `data-key` are found again by it, others by their place.
 */
export function morph(now: Element, next: Element): void {
  if (now.matches(KEPT)) return;
  copyAttributes(now, next);
  const keyed = new Map(
    [...now.children].flatMap((each) => (keyOf(each) === '' ? [] : [[keyOf(each), each]])),
  );
  let at: ChildNode | null = now.firstChild;
  for (const fresh of [...next.childNodes]) {
    const known = fresh instanceof Element && keyOf(fresh) !== '' ? keyed.get(keyOf(fresh)) : undefined;
    const same = known ?? (at !== null && isAlike(at, fresh) ? at : undefined);
    if (same === undefined) {
      now.insertBefore(fresh, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else now.insertBefore(same, at);
    if (same instanceof Element) morph(same, fresh as Element);
    else if (same.nodeValue !== fresh.nodeValue) same.nodeValue = fresh.nodeValue;
  }
  while (at !== null) {
    const gone: ChildNode = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function keyOf(element: Element): string {
  const key = element.getAttribute('data-key');
  return key === null ? '' : `${element.tagName} ${key}`;
}

function isAlike(a: Node, b: Node): boolean {
  if (a.nodeType !== b.nodeType || a.nodeName !== b.nodeName) return false;
  return !(a instanceof Element) || (keyOf(a) === '' && keyOf(b as Element) === '');
}

/** `open` belongs to the person: what they opened stays open. */
function copyAttributes(now: Element, next: Element): void {
  for (const { name } of [...now.attributes])
    if (name !== 'open' && !next.hasAttribute(name)) now.removeAttribute(name);
  for (const { name, value } of [...next.attributes])
    if (name !== 'open' && now.getAttribute(name) !== value) now.setAttribute(name, value);
}
