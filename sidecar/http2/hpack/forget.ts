/** What a process has learnt of header fields is one for all its connections, and decides how long header blocks are. */

import { fieldCache, nameCache } from './field-cache.js';
import { StableList } from './header-list.js';
import { forgetNames } from './name.js';
import { STATIC_FIELDS } from './static-table.js';

/**
 * As in a process that begins. For what runs processes one after the other in one heap and has to have the same bytes each time, such as a
 * simulation; there must be no connection.
 */
export function forgetFields(): void {
  nameCache.clear();
  fieldCache.clear();
  StableList.beginAnew();
  forgetNames();
  for (const field of STATIC_FIELDS) field.isStable = false;
}
