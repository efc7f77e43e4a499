import { mkdir, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { MessageName } from '../database/tables.ts'
import { html } from '../http/pages/html.ts'
import { loadTemplates, render } from '../mail/templates.ts'
import { samplesOf } from '../mail/samples.ts'

// For designers: every message with sample values, as HTML and as text, and one page that shows them all.
const target = new URL('../../output/emails/', import.meta.url)
await rm(target, { recursive: true, force: true })
await mkdir(target, { recursive: true })

/** Dark colours, whatever the browser prefers. */
const byNight = (mail: string) => mail.replaceAll('(prefers-color-scheme: dark)', 'all')

const names = Object.keys(await loadTemplates()) as MessageName[]
const mails = await Promise.all(
  names.map(async (name) => ({ name, ...(await render(name, samplesOf(name))) })),
)
await Promise.all(
  mails.flatMap((mail) => [
    writeFile(new URL(`${mail.name}.html`, target), mail.html),
    writeFile(new URL(`${mail.name}.dark.html`, target), byNight(mail.html)),
    writeFile(new URL(`${mail.name}.txt`, target), `Subject: ${mail.subject}\n\n${mail.text}\n`),
  ]),
)

const frame = (file: string) => html`<iframe src="${file}" title="${file}"></iframe>`
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
            ${name}: <a href="${name}.html">HTML</a>, <a href="${name}.dark.html">by night</a>,
            <a href="${name}.txt">text</a>
          </p>
          ${frame(`${name}.html`)} ${frame(`${name}.dark.html`)}`,
    )}
  </html>`
await writeFile(new URL('index.html', target), String(index))
console.log(`${names.length} mails: ${fileURLToPath(new URL('index.html', target))}`)
