import { test } from 'tap'
import { html } from '../src/http/pages/html.ts'

/** Under another name, as the formatter lays templates of `html` out anew. */
const markup = html

void test('what is put into a page is text, unless it is markup already', (t) => {
  const nasty = `<b>"a" & 'b'</b>`
  const safe = '&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/b&gt;'
  t.equal(String(markup`<p title="${nasty}">${nasty}</p>`), `<p title="${safe}">${safe}</p>`)
  t.equal(String(markup`<ul>${[nasty, markup`<li>${2}</li>`]}</ul>`), `<ul>${safe}<li>2</li></ul>`)
  t.equal(String(markup`<p>${markup`<b>${nasty}</b>`}</p>`), `<p><b>${safe}</b></p>`, 'once, not twice')
  t.equal(String(markup`a${undefined}b${false}c${[]}d${''}e${0}f`), 'abcde0f', 'what is not there is nothing')
  t.equal(String(markup`${'$1'}A${'\\n'}`), '$1A\\n', 'values are no patterns and no escapes')
  t.end()
})
