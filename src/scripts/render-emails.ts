import { mkdir, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { html } from '../html.ts'
import { loadTemplates, render } from '../mail/templates.ts'
import { samples } from '../mail/samples.ts'

// For designers: every message with sample values, as HTML and as text, and a page that shows all of them.
const target = new URL('../../output/emails/', import.meta.url)
await rm(target, { recursive: true, force: true })
await mkdir(target, { recursive: true })

const names = Object.keys(await loadTemplates())
const mails = await Promise.all(names.map(async (name) => ({ name, ...(await render(name, samples)) })))
await Promise.all(
  mails.flatMap((mail) => [
    writeFile(new URL(`${mail.name}.html`, target), mail.html),
    writeFile(new URL(`${mail.name}.txt`, target), `Subject: ${mail.subject}\n\n${mail.text}\n`),
  ]),
)

// A frame's color-scheme is what its content is told that the reader prefers.
const frame = (name: string, scheme: string) =>
  html`<iframe src="${name}.html" title="${name}, ${scheme}" style="color-scheme: ${scheme}"></iframe>`
const index = html`<!doctype html>
  <html lang="en">
    <meta charset="utf-8" />
    <title>Mails</title>
    <style>
      body {
        margin: 2rem;
        font:
          16px/1.5 system-ui,
          sans-serif;
      }
      iframe {
        width: min(620px, 48%);
        height: 680px;
        border: 1px solid #bbb;
      }
    </style>
    <h1>Mails</h1>
    ${mails.map(
      ({ name, subject }) =>
        html`<h2>${subject}</h2>
          <p>
            ${name}: <a href="${name}.html">HTML</a>,
            <a href="${name}.txt">text</a>
          </p>
          ${frame(name, 'light')} ${frame(name, 'dark')}`,
    )}
  </html>`
await writeFile(new URL('index.html', target), String(index))
console.log(`${names.length} mails: ${fileURLToPath(new URL('index.html', target))}`)
