import assert from 'node:assert/strict';
import { html, Markup } from '../../../../../../sidecar/cli/chaos/report/markup/escape.js';

describe('markup', () => {
  it('escapes every value, and leaves markup, lists of it and nothing as they are', () => {
    const value = `<i title='a'>"&"</i>`;
    assert.equal(
      html`<p title="${value}">${html`<b>${1}</b>`}${[html`<u>`, value, undefined]}${new Markup('<hr>')}</p>`
        .text,
      '<p title="&lt;i title=&#39;a&#39;&gt;&quot;&amp;&quot;&lt;/i&gt;"><b>1</b><u>&lt;i title=&#39;a&#39;&gt;&quot;&amp;&quot;&lt;/i&gt;<hr></p>',
    );
  });
});
