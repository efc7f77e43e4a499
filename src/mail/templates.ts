import { readFile } from 'node:fs/promises'
import { escapeHtml } from '../http/pages/html.ts'
import type { CompiledTemplates } from './compiler.ts'

/** Subject, HTML part and text part. */
export type RenderedMail = CompiledTemplates[string]

let templates: Promise<CompiledTemplates> | undefined

/**
 * The compiled templates, loaded once. A build has them in templates.json; from source they are compiled at each start, so
 * that changes in `emails/` show.
 *
 * @throws Error where a template does not compile, or templates.json is missing
 */
export function loadTemplates(): Promise<CompiledTemplates> {
  return (templates ??= import.meta.url.endsWith('.js') ? readTemplates() : compileTemplates())
}

async function readTemplates(): Promise<CompiledTemplates> {
  return JSON.parse(await readFile(new URL('templates.json', import.meta.url), 'utf8')) as CompiledTemplates
}

async function compileTemplates(): Promise<CompiledTemplates> {
  const compiler = await import('./compiler.ts')
  return compiler.compileTemplates()
}

/**
 * Fills the placeholders of a template. Values are escaped in the HTML, unchanged in the text, and without control
 * characters in the subject, where a line break would start another header (RFC 5322, 2.2).
 *
 * @param template name of its file in `emails/`
 * @throws Error where there is no such template, and for a placeholder without a value
 */
export async function render(template: string, values: Values): Promise<RenderedMail> {
  const compiled = await find(template)
  const fill = filler(template, values)
  return {
    subject: fill(compiled.subject, withoutControls),
    html: fill(compiled.html, escapeHtml),
    text: fill(compiled.text, (value) => value),
  }
}

/** The subject alone, for mails whose link no longer works. @throws Error as `render` does */
export async function renderSubject(template: string, values: Values): Promise<string> {
  const { subject } = await find(template)
  return filler(template, values)(subject, withoutControls)
}

type Values = Readonly<Record<string, string>>

async function find(template: string): Promise<RenderedMail> {
  const compiled = (await loadTemplates())[template]
  if (!compiled) throw new Error(`There is no mail template ${template}`)
  return compiled
}

const filler = (template: string, values: Values) => (source: string, transform: (value: string) => string) =>
  source.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined
    if (value === undefined) throw new Error(`Mail template ${template}: no value for {{${name}}}`)
    return transform(value)
  })

const withoutControls = (value: string) => value.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
