import assert from 'node:assert/strict';
import { escapeHtml } from '../../../sidecar/admin/escape.js';

describe('text for HTML', () => {
  it('has entities for what would be markup', () => {
    assert.equal(
      escapeHtml(`<i title='a'>"&"</i>`),
      '&lt;i title=&#39;a&#39;&gt;&quot;&amp;&quot;&lt;/i&gt;',
    );
  });

  it('has no characters that XML has not', () => {
    assert.equal(escapeHtml('a\0b\x1bc\ttab\nline\uffff'), 'a\ufffdb\ufffdc\ttab\nline\ufffd');
  });
});
