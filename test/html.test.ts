import { test } from 'tap'
import { html } from '../src/http/pages/html.ts'

/** Another name, as prettier would reformat templates tagged `html`. */
const markup = html

void test('values in an HTML template are escaped, unless they are markup already', (t) => {
  const nasty = `<b>"a" & 'b'</b>`
  const safe = '&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/b&gt;'
  t.equal(String(markup`<p title="${nasty}">${nasty}</p>`), `<p title="${safe}">${safe}</p>`)
  t.equal(String(markup`<ul>${[nasty, markup`<li>${2}</li>`]}</ul>`), `<ul>${safe}<li>2</li></ul>`)
  t.equal(String(markup`<p>${markup`<b>${nasty}</b>`}</p>`), `<p><b>${safe}</b></p>`, 'once, not twice')
  t.equal(String(markup`a${undefined}b${false}c${[]}d${''}e${0}f`), 'abcde0f', 'what is not there is nothing')
  t.equal(String(markup`${'$1'}A${'\\n'}`), '$1A\\n', 'values are no patterns and no escapes')
  t.end()
})
