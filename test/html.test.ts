import { test } from 'tap'
import { html } from '../src/html.ts'

void test('what is put into a page is text, unless it is markup already', (t) => {
  const nasty = `<b>"a" & 'b'</b>`
  const safe = '&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/b&gt;'
  t.equal(String(html`<p title="${nasty}">${nasty}</p>`), `<p title="${safe}">${safe}</p>`)
  t.equal(
    String(
      html`<ul>
        ${[nasty, html`<li>${2}</li>`]}
      </ul>`,
    ),
    `<ul>${safe}<li>2</li></ul>`,
  )
  t.equal(String(html`<p>${html`<b>${nasty}</b>`}</p>`), `<p><b>${safe}</b></p>`, 'once, not twice')
  t.equal(
    String(html`a${undefined}b${false}c${[]}d${''}e${0}f`),
    'abcde0f',
    'what is not there leaves nothing',
  )
  t.equal(String(html`${'$&'}A${'\\n'}`), '$&A\\n', 'values are no patterns and no escapes')
  t.end()
})
