import { pathToFileURL } from 'node:url'
import t from 'tap'
import type { MessageName } from '../../src/database/tables.ts'
import { compileTemplates } from '../../src/mail/compiler.ts'
import { samples } from '../../src/mail/samples.ts'
import { loadTemplates, render, renderSubject, renderWithoutLink } from '../../src/mail/templates.ts'

const link = 'https://app.example.com/reset-password?token=0198c6b2-3f4e.aZ_9-x'
const values = {
  ...samples,
  link,
  valid_until: '23 November 2026, 10:15 UTC',
  email: 'ada@example.com',
} as const
const names = Object.keys(await loadTemplates())
const withLink = [
  'account_unconfirmed',
  'address_restored',
  'new_address',
  'own_address_changed',
  'recovery',
  'verification',
  'welcome',
]

/** Placeholders that the reader of a message needs to act, beyond those that every message has. */
const told: Record<MessageName, readonly (keyof typeof samples)[]> = {
  account_exists: ['at', 'from', 'recover_link'],
  account_unconfirmed: ['at', 'from', 'made_at', 'made_how', 'link', 'valid_until'],
  address_changed: ['at', 'how', 'support_email'],
  address_restored: ['link', 'valid_until'],
  new_address: ['valid_until'],
  own_address_changed: ['at', 'how', 'link', 'valid_until'],
  password_changed: ['at', 'how', 'recover_link'],
  recovery: ['valid_until'],
  recovery_code_used: ['at', 'how', 'left', 'recover_link'],
  recovery_link_shown: ['at', 'recover_link'],
  session_ended: ['at', 'from', 'session', 'recover_link'],
  test: [],
  verification: ['valid_until', 'made_at', 'made_from'],
  way_in_changed: ['at', 'how', 'what', 'recover_link'],
  welcome: ['valid_until'],
}

void t.test('there is a template for each message of the service, and no other', async (t) => {
  t.strictSame(names.toSorted(), Object.keys(told))
})

void t.test('each message says what its reader needs to act on it', async (t) => {
  for (const [name, placeholders] of Object.entries(told)) {
    const { text, html } = await render(name, values)
    for (const placeholder of placeholders) {
      // Lines are wrapped around values.
      t.match(text.replaceAll('\n', ' '), values[placeholder], `${name}: ${placeholder}`)
      t.match(html, values[placeholder])
    }
  }
})

void t.test('fault 6: the verification mail tells its reader how to take the account over', async (t) => {
  const text = (await render('verification', values)).text.replaceAll('\n', ' ')
  t.match(text, 'do not confirm')
  t.match(text, `reset the password for ${values.email} at Groundwork`)
})

void t.test('a notice reads well whoever made the change', async (t) => {
  for (const name of ['password_changed', 'address_changed', 'own_address_changed'])
    for (const how of ['from the network address 203.0.113.7', 'by an administrator']) {
      const { text } = await render(name, { ...values, how })
      t.match(text.replaceAll('\n', ' '), `on 23 November 2026 at 10:15 UTC, ${how}.`)
    }
})

for (const name of names) {
  void t.test(`${name} has a subject, an HTML and a text part without open placeholders`, async (t) => {
    const { subject, html, text } = await render(name, values)

    t.match(subject, /Groundwork/, 'the subject says who writes')
    t.equal(await renderSubject(name, { project_name: 'Groundwork' }), subject, 'which is all that it takes')
    t.match(html, /<html lang="en" /, 'a screen reader knows the language')
    t.match(html, `<title>${subject}</title>`)
    t.match(html, '<meta name="color-scheme" content="light dark">', 'dark clients leave the colours alone')
    for (const part of [subject, html, text])
      t.notMatch(part, /\{\{|\}\}|undefined/, 'no placeholder is left')
    t.match(text, 'ada@example.com', 'the text part says as much as the HTML')
  })

  void t.test(`${name} loads nothing when it is opened`, async (t) => {
    const { html } = await render(name, values)
    const own = html
      .replaceAll(link, '')
      .replaceAll(values.recover_link, '')
      .replace(/ xmlns(:\w+)?="[^"]*"/g, '')
    t.notMatch(own, /https?:|\/\/\w|<link|<img|<script|@import|url\(|\ssrc=|\sbackground=/i)
  })

  void t.test(`${name} shows values as text, not as markup`, async (t) => {
    const nasty = `<script>"a" & 'b'</script>`
    const everything = {
      ...Object.fromEntries(Object.keys(samples).map((key) => [key, nasty])),
      link: `${link}&n=1`,
    }
    const { html, text } = await render(name, everything)

    t.notMatch(html, '<script>')
    t.match(html, 'aria-label="', 'values stand in attributes')
    t.notMatch(html, `"a"`, 'a quote would end the attribute')
    t.match(html, '&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;')
    t.match(text, nasty, 'plain text needs no escaping')
  })
}

for (const name of withLink) {
  void t.test(`${name} has a link that works wherever it is clicked or copied`, async (t) => {
    const { html, text } = await render(name, values)
    const first = html.indexOf(link)

    t.equal(html.slice(first - 6, first), 'href="', 'first occurrence')
    t.equal(html[first + link.length], '"', 'the token stands last')
    t.match(html, `>${link}</a>`, 'it can be copied')
    t.same(
      text.split('\n').filter((line) => line.includes('http')),
      [link],
      'once, on a line of its own',
    )
    t.match(text, values.valid_until, 'until when it works')
  })
}

void t.test('every mail names the support address if one is set', async (t) => {
  for (const name of names) {
    const { html, text } = await render(name, values)
    t.match(html, 'href="mailto:help@example.com"', name)
    t.match(text, 'Write to help@example.com.', name)
    const without = await render(name, { ...values, support_email: '', support_link: '' })
    t.notMatch(without.html + without.text, /mailto|Do you need help|Write to/, name)
    t.notMatch(without.text, /\n{3}/, 'and leaves no hole')
  }
})

void t.test('a logo replaces the project’s name in HTML, and is the only image', async (t) => {
  const logo_url = 'https://cdn.example.com/logo.png?a=1&b=2'
  const { html, text } = await render('test', { ...values, logo_url })
  t.same(
    html.match(/<img[^>]* src="[^"]*"[^>]* alt="[^"]*"/g)?.map((tag) => tag.replace(/\s+/g, ' ')),
    ['<img src="https://cdn.example.com/logo.png?a=1&amp;b=2" alt="Groundwork"'],
  )
  t.match(text, /^Groundwork\s/, 'the text part has the name')
  t.notMatch(text, 'cdn.example.com')
})

void t.test('buttons and links have the colours of the settings', async (t) => {
  const colors = {
    accent: '#111111',
    on_accent: '#222222',
    link_color: '#333333',
    dark_accent: '#444444',
    dark_on_accent: '#555555',
    dark_link_color: '#666666',
  }
  const { html } = await render('recovery', { ...values, ...colors })
  for (const color of Object.values(colors)) t.match(html, color)
  t.notMatch(html, /#00000\d|#0f6b5c/)
})

void t.test('a mail whose link no longer works can be shown without it', async (t) => {
  for (const name of withLink) {
    const { link: _, ...rest } = values
    const { html, text } = await renderWithoutLink(name, rest)
    t.notMatch(html.replace(/ xmlns(:\w+)?="[^"]*"/g, ''), /https?:/, 'nothing to press')
    t.notMatch(html, 'href="[')
    t.match(html, '[this link no longer works]')
    t.match(text, '[this link no longer works]')
  }
})

void t.test('an ampersand in a link is escaped in HTML alone', async (t) => {
  const { html, text } = await render('recovery', { ...values, link: 'https://a.example/?x=1&token=t' })
  t.match(html, 'href="https://a.example/?x=1&amp;token=t"')
  t.match(text, 'https://a.example/?x=1&token=t')
})

void t.test('the text part has neither the preview nor long lines', async (t) => {
  const templates = await loadTemplates()
  t.notMatch(templates.recovery?.text, 'Somebody asked for a password recovery for your account')
  for (const { text } of Object.values(templates))
    for (const line of text.split('\n')) t.ok(line.length <= 68)
})

void t.test('a value cannot add a header to the mail', async (t) => {
  const { subject } = await render('test', {
    ...values,
    project_name: 'A\r\nBcc: all@example.com\u0000\u2028B',
  })
  t.equal(subject, 'Test email from A Bcc: all@example.com B')
})

void t.test('a value that looks like a placeholder stays what it is', async (t) => {
  const { text, html } = await render('recovery', { ...values, email: '{{link}}$&@example.com' })
  t.match(text, 'password for {{link}}$&@example.com.')
  t.match(html, '{{link}}$&amp;@example.com')
})

void t.test('a mail with a missing value is not rendered', async (t) => {
  const { link: _, ...rest } = values
  await t.rejects(render('recovery', rest), { message: 'Mail template recovery: no value for {{link}}' })
  await t.rejects(render('recovery', {}), {
    message: 'Mail template recovery: no value for {{project_name}}',
  })
  await t.rejects(render('nothing', values), { message: 'There is no mail template nothing' })
})

void t.test('a mistake in a message stops the build and names the file', async (t) => {
  const compile = (mjml: string) =>
    compileTemplates(pathToFileURL(`${t.testdir({ 'notice.mjml': mjml, parts: { 'part.mjml': '<mj-' } })}/`))
  const title = '<mj-head><mj-title>Notice</mj-title></mj-head>'

  await t.rejects(compile(`<mjml>${title}<mj-body><mj-box /></mj-body></mjml>`), {
    message: /^notice\.mjml: /,
  })
  await t.rejects(
    compile(`<mjml>${title}<mj-body><mj-include path="./parts/gone.mjml" /></mj-body></mjml>`),
    {
      message: 'notice.mjml: a part that it includes is missing',
    },
  )
  await t.rejects(compile('<mjml><mj-body></mj-body></mjml>'), {
    message: /^notice\.mjml: mj-title is missing/,
  })
  t.same(
    Object.keys(await compile(`<mjml>${title}<mj-body></mj-body></mjml>`)),
    ['notice'],
    'parts are no messages',
  )
})
